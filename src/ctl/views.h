// How each answer looks to a person.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sluice::ctl {

std::string view(const std::string& method, const nlohmann::json& result);
// Those of services and TCP.
std::string services_view(const nlohmann::json& r);
std::string tcp_list_view(const nlohmann::json& r);
std::string tcp_show_view(const nlohmann::json& r);
std::string tcp_counters_view(const nlohmann::json& r);
// Those of early drop.
std::string early_laws(const nlohmann::json& rows);
std::string shed_status_view(const nlohmann::json& r);
std::string shed_level_view(const nlohmann::json& r);
std::string prefix_list_view(const nlohmann::json& r);
std::string prefix_change_view(const std::string& method, const nlohmann::json& r);
// The words for a completion script of "bash", "zsh" or "fish"; empty: no such shell.
std::string completion(const std::string& shell);

}  // namespace sluice::ctl
