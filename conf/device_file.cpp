#include "conf/device_file.hpp"

#include <toml++/toml.h>

#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

namespace troupe {
namespace {

// Every key with its place; both reading and writing go by this.
struct Number {
    const char* table;
    const char* key;
    double DeviceFile::*place;
};
constexpr Number numbers[] = {
    {"device", "memory_bytes", &DeviceFile::memory_bytes},
    {"device", "bandwidth", &DeviceFile::bandwidth},
    {"device", "flops", &DeviceFile::flops},
    {"device", "link_bandwidth", &DeviceFile::link_bandwidth},
    {"device", "watts", &DeviceFile::watts},
    {"device", "host_bandwidth", &DeviceFile::host_bandwidth},
    {"device", "disk_bandwidth", &DeviceFile::disk_bandwidth},
    {"device", "reached_bandwidth", &DeviceFile::reached_bandwidth},
    {"device", "reached_flops", &DeviceFile::reached_flops},
    {"device", "launch_us", &DeviceFile::launch_us},
    {"step", "decode_context_us", &DeviceFile::decode_context_us},
    {"step", "chunk_context_us", &DeviceFile::chunk_context_us},
    {"step", "chunk_pair_us", &DeviceFile::chunk_pair_us},
    {"server", "request_us", &DeviceFile::request_us},
    {"server", "request_us_per_token", &DeviceFile::request_us_per_token},
    {"server", "emit_us", &DeviceFile::emit_us},
    {"server", "gap_us", &DeviceFile::gap_us},
};
struct Count {
    const char* key;
    std::uint32_t DeviceFile::*place;
};
constexpr Count counts[] = {{"kv_blocks", &DeviceFile::kv_blocks},
                            {"block_size", &DeviceFile::block_size},
                            {"kv_bytes_per_token", &DeviceFile::kv_bytes_per_token},
                            {"max_model_len", &DeviceFile::max_model_len},
                            {"max_num_seqs", &DeviceFile::max_num_seqs},
                            {"max_num_batched_tokens", &DeviceFile::max_num_batched_tokens},
                            {"max_steps_in_flight", &DeviceFile::max_steps_in_flight}};
struct List {
    const char* key;
    std::vector<double> DeviceFile::*place;
};
constexpr List lists[] = {{"tokens", &DeviceFile::tokens},
                          {"tokens_us", &DeviceFile::tokens_us},
                          {"logits", &DeviceFile::logits},
                          {"logits_us", &DeviceFile::logits_us}};
struct Word {
    const char* key;
    std::string DeviceFile::*place;
};
constexpr Word words[] = {{"name", &DeviceFile::name}, {"model", &DeviceFile::model}};
constexpr std::size_t longest_list = 1024;
constexpr double longest_us = 86'400e6;  // a day: of a step, a request, a gap
constexpr double largest_number = 1e24;  // of anything else

class DeviceReader {
  public:
    explicit DeviceReader(const std::string& path) : path_(path) {}

    Result<DeviceFile> read(const toml::table& root) {
        for (const auto& [table, node] : root) {
            const std::string name(table.str());
            const toml::table* content = node.as_table();
            if (content == nullptr ||
                (name != "device" && name != "engine" && name != "step" && name != "server"))
                return fail(name, "is not known; tables are [device], [engine], [step] and [server]");
            for (const auto& [key, value] : *content) {
                if (Status status = read_key(name, std::string(key.str()), value); !status)
                    return status.error();
            }
        }
        if (Status status = check(); !status) return status.error();
        return std::move(device_);
    }

  private:
    Error fail(const std::string& key, const std::string& what) const {
        return invalid_argument(path_ + ": " + key + " " + what, "--device");
    }

    Status read_key(const std::string& table, const std::string& key, const toml::node& value) {
        const std::string name = table + "." + key;
        const auto number = value.value<double>();
        const bool sound = number && std::isfinite(*number) && *number >= 0;
        for (const Number& known : numbers) {
            if (table != known.table || key != known.key) continue;
            const bool time = key.find("_us") != std::string::npos;
            if (!sound || *number > (time ? longest_us : largest_number))
                return fail(
                    name, time ? "must be microseconds from 0 to a day" : "must be a number from 0 to 1e24");
            device_.*known.place = *number;
            return {};
        }
        for (const Count& known : counts) {
            if (table != "engine" || key != known.key) continue;
            if (!sound || *number < 1 || *number > 2e9 || *number != std::floor(*number))
                return fail(name, "must be a whole number from 1");
            device_.*known.place = static_cast<std::uint32_t>(*number);
            return {};
        }
        for (const Word& known : words) {
            if (table != "device" || key != known.key) continue;
            const auto text = value.value<std::string>();
            if (!text) return fail(name, "must be a string");
            device_.*known.place = *text;
            return {};
        }
        for (const List& known : lists) {
            if (table == "step" && key == known.key) return read_list(name, value, device_.*known.place);
        }
        return fail(name, "is not known");
    }

    Status read_list(const std::string& name, const toml::node& value, std::vector<double>& list) {
        const toml::array* array = value.as_array();
        if (array == nullptr || array->empty() || array->size() > longest_list)
            return fail(name, "must be a list of 1 to " + std::to_string(longest_list) + " numbers");
        for (const toml::node& element : *array) {
            const auto number = element.value<double>();
            if (!number || !(*number >= 0) || *number > longest_us)
                return fail(name, "must hold numbers from 0 to 86.4e9, a day in microseconds");
            list.push_back(*number);
        }
        return {};
    }

    Status check() const {
        if (device_.tokens.size() != device_.tokens_us.size())
            return fail("step.tokens", "and step.tokens_us must be equally long");
        if (device_.logits.size() != device_.logits_us.size())
            return fail("step.logits", "and step.logits_us must be equally long");
        for (const auto* list : {&device_.tokens, &device_.logits}) {
            for (std::size_t i = 1; i < list->size(); ++i)
                if ((*list)[i] <= (*list)[i - 1]) return fail("step.tokens and step.logits", "must ascend");
        }
        const bool roofline = device_.bandwidth > 0 && device_.flops > 0;
        if (!device_.is_calibrated() && !roofline)
            return fail("[step]",
                        "of `troupe calibrate`, or device.bandwidth and device.flops must be there");
        return {};
    }

    const std::string& path_;
    DeviceFile device_;
};

std::string text_of(double number) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return {digits.data(), end};
}

std::string text_of(const std::vector<double>& list) {
    std::string text = "[";
    for (const double number : list) text += (text.size() > 1 ? ", " : "") + text_of(number);
    return text + "]";
}

}  // namespace

Result<DeviceFile> read_device_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) return not_found("--device: cannot read the file " + path, "--device");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    try {
        return DeviceReader(path).read(toml::parse(text));
    } catch (const toml::parse_error& error) {
        std::ostringstream where;
        where << path << ":" << error.source().begin.line << ": " << error.description();
        return invalid_argument(where.str(), "--device");
    }
}

std::string device_file_text(const DeviceFile& device) {
    std::string text;
    for (const char* table : {"device", "engine", "step", "server"}) {
        const std::string name = table;
        std::string lines;
        if (name == "device") {
            std::ostringstream quoted;
            for (const Word& word : words)
                if (!(device.*word.place).empty())
                    quoted << word.key << " = " << toml::value<std::string>(device.*word.place) << "\n";
            lines += quoted.str();
        }
        if (name == "engine") {
            for (const Count& count : counts)
                if (device.*count.place > 0)
                    lines += std::string(count.key) + " = " + std::to_string(device.*count.place) + "\n";
        }
        if (name == "step") {
            for (const List& list : lists)
                if (!(device.*list.place).empty())
                    lines += std::string(list.key) + " = " + text_of(device.*list.place) + "\n";
        }
        for (const Number& number : numbers)
            if (name == number.table && device.*number.place > 0)
                lines += std::string(number.key) + " = " + text_of(device.*number.place) + "\n";
        if (!lines.empty()) text += (text.empty() ? "[" : "\n[") + name + "]\n" + lines;
    }
    return text;
}

}  // namespace troupe
