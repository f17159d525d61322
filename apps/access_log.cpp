#include "apps/access_log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "apps/logging.hpp"

namespace troupe {

struct AccessLog::File {
    LogConfig config;
    std::mutex mutex;
    std::shared_ptr<spdlog::logger> logger;

    Status open() {
        try {
            auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.access_log);
            auto fresh = std::make_shared<spdlog::logger>("access", std::move(sink));
            set_format(*fresh, config.json);
            fresh->flush_on(spdlog::level::info);
            const std::lock_guard lock(mutex);
            logger = std::move(fresh);
        } catch (const spdlog::spdlog_ex& error) {
            return invalid_argument(
                "--access-log: " + config.access_log + " cannot be written: " + error.what(), "--access-log");
        }
        return {};
    }

    void write(const net::RequestLog& entry) {
        const std::lock_guard lock(mutex);
        logger->info("{}", net::log_line(entry, config.json));
    }
};

Result<AccessLog> AccessLog::open(const LogConfig& config) {
    AccessLog log;
    if (config.access_log == "-") {
        log.sink_ = net::spdlog_sink(config.json);
    } else if (config.access_log == "off") {
        log.sink_ = [](const net::RequestLog&) {};
    } else {
        log.file_ = std::make_shared<File>();
        log.file_->config = config;
        if (auto status = log.file_->open(); !status) return status.error();
        log.sink_ = [file = log.file_](const net::RequestLog& entry) { file->write(entry); };
    }
    return log;
}

Status AccessLog::reopen() { return file_ ? file_->open() : Status(); }

}  // namespace troupe
