#include "engine/device_numbers.hpp"

#include <algorithm>

namespace troupe {
namespace {

struct KnownDevice {
    const char* name;
    double memory, bandwidth, flops_16, flops_8, link, watts, host, disk;
};

// Dense rates. NVIDIA's data sheets of the SXM (A100 80 GB, H100, H200), L40S and RTX 4090; links are
// NVLink's or PCIe's in one direction. `cpu` is one core of an AVX-512 VNNI server: 12 GB/s, int8 products.
// To host memory: 85 % of PCIe's 64 GB/s (generation 5) or 32 GB/s (4); on a CPU a copy reads and writes its
// memory. The disk is an NVMe SSD's, and a cloud's volume beside `cpu`.
constexpr KnownDevice devices[] = {
    {"h200", 141e9, 4.8e12, 989e12, 1979e12, 450e9, 700, 54e9, 5e9},
    {"h100", 80e9, 3.35e12, 989e12, 1979e12, 450e9, 700, 54e9, 5e9},
    {"a100", 80e9, 2.039e12, 312e12, 312e12, 300e9, 400, 27e9, 5e9},
    {"l40s", 48e9, 864e9, 362e12, 733e12, 32e9, 350, 27e9, 5e9},
    {"rtx-4090", 24e9, 1.008e12, 165e12, 330e12, 32e9, 450, 27e9, 5e9},
    {"cpu", 16e9, 12e9, 300e9, 300e9, 1e9, 15, 6e9, 500e6},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<DeviceNumbers> find_device(std::string_view name, bool eight_bit) {
    for (const KnownDevice& known : devices) {
        const std::string_view other = known.name;
        if (!std::equal(name.begin(), name.end(), other.begin(), other.end(),
                        [](char a, char b) { return lower(a) == b; }))
            continue;
        return DeviceNumbers{
            known.name, known.memory, known.bandwidth, eight_bit ? known.flops_8 : known.flops_16,
            known.link, known.watts,  known.host,      known.disk};
    }
    return std::nullopt;
}

std::string device_names() {
    std::string names;
    for (const KnownDevice& known : devices) names += (names.empty() ? "" : ", ") + std::string(known.name);
    return names;
}

}  // namespace troupe
