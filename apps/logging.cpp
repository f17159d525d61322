#include "apps/logging.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "net/json_writer.hpp"

namespace troupe {
namespace {

// One JSON object a line. A message that is an object itself (net's request lines) gives its fields.
class JsonFormatter final : public spdlog::formatter {
  public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
        spdlog::memory_buf_t time;
        time_.format(message, time);
        const std::string_view text(message.payload.data(), message.payload.size());
        const spdlog::string_view_t level = spdlog::level::to_string_view(message.level);
        net::JsonWriter json;
        json.begin_object().field("time", std::string_view(time.data(), time.size()));
        json.field("level", std::string_view(level.data(), level.size()));
        const bool is_object = text.size() > 2 && text.front() == '{' && text.back() == '}';
        if (!is_object) json.field("message", text);
        std::string out = json.end_object().take();
        if (is_object) out.replace(out.size() - 1, 1, "," + std::string(text.substr(1)));
        out += '\n';
        line.append(out.data(), out.data() + out.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

  private:
    spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

}  // namespace

void set_format(spdlog::logger& logger, bool json) {
    if (json) {
        logger.set_formatter(std::make_unique<JsonFormatter>());
    } else {
        logger.set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
    }
}

void set_up_logging(const LogConfig& config) {
    auto logger = config.json ? spdlog::stderr_logger_mt("troupe") : spdlog::stderr_color_mt("troupe");
    logger->set_level(spdlog::level::from_str(config.level));
    set_format(*logger, config.json);
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace troupe
