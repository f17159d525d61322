// One .safetensors file: every tensor that it admits to have lies inside it.
#include "model/formats/safetensors.hpp"

#include "tests/fuzz/memory_file.hpp"

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const MemoryFile memory(data, size);
    const auto file = SafetensorsFile::open(memory.path());
    if (!file && file.error().message.empty()) std::abort();
    if (!file) return 0;
    unsigned sum = 0;
    for (const auto& [name, tensor] : file->tensors()) {
        if (tensor.bytes == 0) continue;
        sum += static_cast<unsigned>(tensor.data[0]) + static_cast<unsigned>(tensor.data[tensor.bytes - 1]);
    }
    static volatile unsigned sink;
    sink = sum;
    (void)sink;
    return 0;
}
