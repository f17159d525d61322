// A device as `troupe simulate` knows it: a TOML file that `troupe calibrate` writes, or a person.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.hpp"

namespace troupe {

// 0 and empty: not said.
struct DeviceFile {
    std::string name;
    std::string model;  // that was measured
    // [device]: for roofline arithmetic and for prices
    double memory_bytes = 0, bandwidth = 0, flops = 0, link_bandwidth = 0, watts = 0;
    double host_bandwidth = 0, disk_bandwidth = 0;  // bytes per second, of swapping
    double reached_bandwidth = 0.9, reached_flops = 0.8, launch_us = 0;
    // [engine]: of the server that was measured
    std::uint32_t kv_blocks = 0, block_size = 0, max_model_len = 0;
    std::uint32_t max_num_seqs = 0, max_num_batched_tokens = 0, max_steps_in_flight = 0;
    std::uint32_t kv_bytes_per_token = 0;
    // [step]: measured costs; see CalibratedOptions in engine/simulator/step_costs.hpp
    std::vector<double> tokens, tokens_us, logits, logits_us;
    double decode_context_us = 0, chunk_context_us = 0, chunk_pair_us = 0;
    // [server]: see ServerOverheads in engine/simulator/simulator.hpp
    double request_us = 0, request_us_per_token = 0, emit_us = 0, gap_us = 0;

    bool is_calibrated() const { return !tokens.empty(); }
};

// Errors name the file, and the key that is unknown, of another type or out of range.
Result<DeviceFile> read_device_file(const std::string& path);
std::string device_file_text(const DeviceFile& device);

}  // namespace troupe
