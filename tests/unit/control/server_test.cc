// The control socket's manners: bounds, slow clients, stale sockets. No root, no EAL.
#include "control/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

namespace sluice::control {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char t[] = "/tmp/sluice-server-test.XXXXXX";
    dir_ = mkdtemp(t);
    o_.path = dir_ + "/sock";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<Server> listen() {
    auto s = Server::listen(o_, [this](std::string_view l) {
      requests_++;
      if (l == "later") {
        Reply r;
        r.later = [this] { return std::exchange(late_, std::nullopt); };
        return r;
      }
      return Reply(answer_.empty() ? "re:" + std::string(l) : answer_);
    });
    EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.error());
    return s.ok() ? std::move(*s) : nullptr;
  }

  int connect() {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    o_.path.copy(a.sun_path, sizeof a.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    return fd;
  }
  static void put(int fd, const std::string& s) {
    ASSERT_EQ(::send(fd, s.data(), s.size(), MSG_NOSIGNAL), static_cast<ssize_t>(s.size()));
  }
  // Everything that is there after the server has had its turns; "<eof>" at the end if it closed.
  static std::string take(Server& s, int fd) {
    std::string out;
    for (int i = 0; i < 50; i++) {
      s.turn();
      char b[65536];
      ssize_t n;
      while ((n = recv(fd, b, sizeof b, 0)) > 0) out.append(b, static_cast<size_t>(n));
      if (n == 0) return out + "<eof>";
    }
    return out;
  }

  std::string dir_, answer_;
  std::optional<std::string> late_;  // the answer to "later", once there is one
  ServerOptions o_;
  int requests_ = 0;
};

TEST_F(ServerTest, AnswersALine) {
  auto s = listen();
  int fd = connect();
  put(fd, "hello\r\n");
  EXPECT_EQ(take(*s, fd), "re:hello\n");
  close(fd);
}

TEST_F(ServerTest, ALineMayComeInPieces) {
  auto s = listen();
  int fd = connect();
  put(fd, "he");
  EXPECT_EQ(take(*s, fd), "");
  put(fd, "llo\nsec");
  EXPECT_EQ(take(*s, fd), "re:hello\n");
  put(fd, "ond\n");
  EXPECT_EQ(take(*s, fd), "re:second\n");
  close(fd);
}

TEST_F(ServerTest, PipelinedRequestsAreAllAnsweredInOrder) {
  auto s = listen();
  int fd = connect();
  std::string ask, want;
  for (int i = 0; i < 300; i++) {
    ask += std::to_string(i) + "\n";
    want += "re:" + std::to_string(i) + "\n";
  }
  put(fd, ask);
  EXPECT_EQ(take(*s, fd), want);
  close(fd);
}

TEST_F(ServerTest, WhoseAnswerComesLaterHoldsUpNobodyElse) {
  auto s = listen();
  int slow = connect(), other = connect();
  put(slow, "later\nnext\n");
  EXPECT_EQ(take(*s, slow), "");
  EXPECT_TRUE(s->waiting());
  put(other, "hello\n");
  EXPECT_EQ(take(*s, other), "re:hello\n");
  EXPECT_EQ(requests_, 2) << "the line behind it waits";
  late_ = "at last";
  EXPECT_EQ(take(*s, slow), "at last\nre:next\n");
  EXPECT_FALSE(s->waiting());
  close(slow);
  close(other);
}

TEST_F(ServerTest, WhoHangsUpIsNotWaitedFor) {
  auto s = listen();
  int fd = connect();
  put(fd, "later\n");
  EXPECT_EQ(take(*s, fd), "");
  close(fd);
  s->turn();
  s->turn();
  EXPECT_FALSE(s->waiting());
  EXPECT_EQ(s->clients(), 0u);
  fd = connect();
  put(fd, "later\n");
  shutdown(fd, SHUT_WR);  // wants the answer all the same
  EXPECT_EQ(take(*s, fd), "");
  late_ = "at last";
  EXPECT_EQ(take(*s, fd), "at last\n<eof>");
  close(fd);
}

TEST_F(ServerTest, AnswersWhatCameBeforeTheClientHungUp) {
  auto s = listen();
  int fd = connect();
  put(fd, "a\nb\nc\n");
  shutdown(fd, SHUT_WR);
  EXPECT_EQ(take(*s, fd), "re:a\nre:b\nre:c\n<eof>");
  EXPECT_EQ(s->clients(), 0u);
  close(fd);
}

TEST_F(ServerTest, TooLongALineEndsTheConnectionWithAnError) {
  o_.max_request = 1000;
  auto s = listen();
  int fd = connect();
  put(fd, std::string(1500, 'x'));
  std::string got = take(*s, fd);
  EXPECT_NE(got.find("-32600"), std::string::npos) << got;
  EXPECT_NE(got.find("<eof>"), std::string::npos);
  EXPECT_EQ(requests_, 0);
  close(fd);
}

TEST_F(ServerTest, AClientThatDoesNotReadIsNotReadFrom) {
  answer_ = std::string(1 << 20, 'y');
  o_.max_output = 64 << 20;
  auto s = listen();
  int fd = connect();
  for (int i = 0; i < 100; i++) put(fd, "q\n");
  for (int i = 0; i < 200; i++) s->turn();
  EXPECT_LE(requests_, 3) << "the server went on answering into a full socket";
  int other = connect();
  answer_ = "quick";
  put(other, "q\n");
  EXPECT_EQ(take(*s, other), "quick\n");
  close(fd);
  close(other);
}

TEST_F(ServerTest, AnAnswerAboveTheLimitCostsTheConnectionOnly) {
  answer_ = std::string(5000, 'z');
  o_.max_output = 1000;
  auto s = listen();
  int fd = connect();
  put(fd, "q\n");
  EXPECT_EQ(take(*s, fd), "<eof>");
  close(fd);
}

TEST_F(ServerTest, TooManyClientsAreToldSo) {
  o_.max_clients = 2;
  auto s = listen();
  int a = connect(), b = connect(), c = connect();
  std::string got = take(*s, c);
  EXPECT_NE(got.find("too many clients"), std::string::npos) << got;
  put(a, "x\n");
  EXPECT_EQ(take(*s, a), "re:x\n");
  for (int fd : {a, b, c}) close(fd);
}

TEST_F(ServerTest, RemovesItsSocketAndReplacesADeadOne) {
  {
    auto s = listen();
    struct stat st;
    ASSERT_EQ(stat(o_.path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0660u);
  }
  EXPECT_FALSE(std::filesystem::exists(o_.path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);  // what a killed process leaves
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  o_.path.copy(a.sun_path, sizeof a.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  close(fd);
  EXPECT_NE(listen(), nullptr);
}

TEST_F(ServerTest, LeavesALivingServerAndAFileAlone) {
  auto s = listen();
  auto second = Server::listen(o_, [](std::string_view) { return std::string(); });
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().find("another sluiced"), std::string::npos);
  int fd = connect();
  put(fd, "still\n");
  EXPECT_EQ(take(*s, fd), "re:still\n");
  close(fd);
  o_.path = dir_ + "/file";
  std::ofstream(o_.path) << "precious";
  EXPECT_FALSE(Server::listen(o_, [](std::string_view) { return std::string(); }).ok());
  EXPECT_TRUE(std::filesystem::exists(o_.path));
}

TEST_F(ServerTest, UnknownOwnerOrGroupIsAnError) {
  o_.group = "no-such-group-here";
  auto s = Server::listen(o_, [](std::string_view) { return std::string(); });
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().find("no-such-group-here"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
