// The configuration's services and tcp section in the words of apps/ and tcp/.
#include <gtest/gtest.h>

#include "config/config.h"
#include "control/translate.h"

namespace sluice::control {
namespace {

config::Model model(const std::string& rest) {
  const config::Loaded l = config::load_text(
      "version: 1\nports: {lan: {device: v0, addresses: [192.0.2.1/24, \"2001:db8::1/64\"]}}\n" + rest, "t");
  EXPECT_TRUE(l.ok()) << config::to_string(l.mistakes[0]);
  return l.model;
}

// The two rooms' defaults are one: what a file leaves out is what the stack does by itself.
TEST(TranslateServices, DefaultsAreTheStacksOwn) {
  const tcp::Config ours = tcp_config(model("").tcp), theirs;
  EXPECT_EQ(ours.limits.connections, theirs.limits.connections);
  EXPECT_EQ(ours.limits.half_open, theirs.limits.half_open);
  EXPECT_EQ(ours.limits.cookie_mark, theirs.limits.cookie_mark);
  EXPECT_EQ(ours.limits.time_wait, theirs.limits.time_wait);
  EXPECT_EQ(ours.limits.out_of_order, theirs.limits.out_of_order);
  EXPECT_EQ(ours.limits.chunks, theirs.limits.chunks);
  EXPECT_EQ(ours.limits.records, theirs.limits.records);
  EXPECT_EQ(ours.limits.challenge_acks_per_second, theirs.limits.challenge_acks_per_second);
  EXPECT_EQ(ours.limits.resets_per_second, theirs.limits.resets_per_second);
  const tcp::Tuning &a = ours.tuning, &b = theirs.tuning;
  EXPECT_EQ(a.congestion, b.congestion);
  EXPECT_EQ(a.ecn, b.ecn);
  EXPECT_EQ(a.ecn_active, b.ecn_active);
  EXPECT_TRUE(a.sack == b.sack && a.timestamps == b.timestamps && a.window_scaling == b.window_scaling && a.nagle == b.nagle);
  EXPECT_EQ(a.initial_window, b.initial_window);
  EXPECT_EQ(a.hop_limit, b.hop_limit);
  EXPECT_EQ(a.syn_retries, b.syn_retries);
  EXPECT_EQ(a.syn_ack_retries, b.syn_ack_retries);
  EXPECT_EQ(a.rto_initial, b.rto_initial);
  EXPECT_EQ(a.rto_min, b.rto_min);
  EXPECT_EQ(a.rto_max, b.rto_max);
  EXPECT_EQ(a.give_up, b.give_up);
  EXPECT_EQ(a.delayed_ack, b.delayed_ack);
  EXPECT_EQ(a.time_wait, b.time_wait);
  EXPECT_EQ(a.fin_wait_2, b.fin_wait_2);
  EXPECT_EQ(a.keepalive_idle, b.keepalive_idle);
  EXPECT_EQ(a.keepalive_interval, b.keepalive_interval);
  EXPECT_EQ(a.keepalive_probes, b.keepalive_probes);
  EXPECT_EQ(a.mtu_probe_floor, b.mtu_probe_floor);
  EXPECT_EQ(a.receive_buffer, b.receive_buffer);
  EXPECT_EQ(a.send_buffer, b.send_buffer);

  const auto list = service_configs(model("services:\n"
                                          "- {name: e, echo: yes, port: 7}\n"
                                          "- {name: h, http: {body: x}, port: 80}\n"
                                          "- {name: p, proxy: {backends: [192.0.2.10:80]}, port: 81}\n"));
  ASSERT_EQ(list.size(), 3u);
  apps::ServiceConfig e, h, p;
  e.name = "e", h.name = "h", p.name = "p";
  e.listen.resize(1), h.listen.resize(1), p.listen.resize(1);
  e.listen[0].port = 7, h.listen[0].port = 80, p.listen[0].port = 81;
  h.kind = apps::ServiceKind::http;
  h.http.body = "x";
  p.kind = apps::ServiceKind::proxy;
  p.proxy.check.kind = apps::CheckKind::none;
  p.proxy.backends = list[2].proxy.backends;
  EXPECT_EQ(list[0], e);
  EXPECT_EQ(list[1], h);
  EXPECT_EQ(list[2], p);
}

TEST(TranslateServices, WhatIsSaidArrives) {
  const config::Model m = model(
      "tcp: {congestion-control: newreno, ecn: request, rto: {min: 100ms}, limits: {packets: 1000}}\n"
      "services:\n"
      "- {name: d, discard: {udp: yes, idle-timeout: 5s}, port: 9, address: [192.0.2.1, \"2001:db8::1\"],\n"
      "   max-connections: 5, receive-buffer: 64 KiB, send-buffer: 128 KiB, access-log: yes}\n"
      "- {name: c, chargen: {udp: yes}, port: 19}\n"
      "- name: p\n"
      "  port: 80\n"
      "  proxy: {backends: [\"[2001:db8::10]:80\"], balance: least-connections, proxy-protocol: v2, attempts: 2,\n"
      "          without-backend: close, connect-timeout: 1s, idle-timeout: 2s,\n"
      "          health: {http: /ok, host: h, interval: 3s, timeout: 2s, rise: 4, fall: 5, expect: 200-204}}\n");
  const tcp::Config t = tcp_config(m.tcp);
  EXPECT_EQ(t.tuning.congestion, tcp::CongestionControl::newreno);
  EXPECT_TRUE(t.tuning.ecn && t.tuning.ecn_active);
  EXPECT_EQ(t.tuning.rto_min, Duration::millis(100));
  EXPECT_EQ(box_options(m).stack.tcp_buffers, 1000u);
  EXPECT_EQ(box_options(m).stack.tcp.tuning.congestion, tcp::CongestionControl::newreno);

  const auto list = service_configs(m);
  const apps::ServiceConfig& d = list[0];
  EXPECT_EQ(d.kind, apps::ServiceKind::discard);
  ASSERT_EQ(d.listen.size(), 2u);
  EXPECT_EQ(d.listen[0].address.family, 4);
  EXPECT_EQ(d.listen[0].address.bytes[3], 1);
  EXPECT_EQ(d.listen[1].address.family, 6);
  EXPECT_EQ(d.listen[1].address.bytes[0], 0x20);
  EXPECT_EQ(d.listen[1].port, 9);
  EXPECT_EQ(d.connections, 5u);
  EXPECT_EQ(d.receive_buffer, 65536u);
  EXPECT_EQ(d.send_buffer, 131072u);
  EXPECT_EQ(d.idle_timeout, Duration::seconds(5));
  EXPECT_TRUE(d.log);

  const apps::ProxyOptions& p = list[2].proxy;
  EXPECT_EQ(p.balance, apps::Balance::least_connections);
  EXPECT_EQ(p.all_down, apps::AllDown::close);
  EXPECT_TRUE(p.proxy_protocol);
  EXPECT_EQ(p.attempts, 2);
  EXPECT_EQ(p.connect_timeout, Duration::seconds(1));
  EXPECT_EQ(p.idle_timeout, Duration::seconds(2));
  EXPECT_EQ(p.check.kind, apps::CheckKind::http);
  EXPECT_EQ(p.check.path, "/ok");
  EXPECT_EQ(p.check.host, "h");
  EXPECT_EQ(p.check.interval, Duration::seconds(3));
  EXPECT_EQ(p.check.timeout, Duration::seconds(2));
  EXPECT_EQ(p.check.rise, 4);
  EXPECT_EQ(p.check.fall, 5);
  EXPECT_EQ(p.check.status_low, 200);
  EXPECT_EQ(p.check.status_high, 204);

  const auto udp = udp_bindings(m);
  ASSERT_EQ(udp.size(), 3u);
  EXPECT_EQ(udp[0].address, *parse_ip("192.0.2.1"));
  EXPECT_EQ(udp[0].service, stack::UdpService::discard);
  EXPECT_TRUE(udp[2].address.none());
  EXPECT_EQ(udp[2].service, stack::UdpService::chargen);
  EXPECT_EQ(udp[2].port, 19);
}

}  // namespace
}  // namespace sluice::control
