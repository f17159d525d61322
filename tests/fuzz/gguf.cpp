// GGUF files: metadata, tensors, and the tokenizer inside.
#include "model/formats/gguf.hpp"

#include "model/tokenizer/loaders.hpp"
#include "tests/fuzz/exercise_tokenizer.hpp"
#include "tests/fuzz/memory_file.hpp"

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const MemoryFile memory(data, size);
    const auto file = GgufFile::open(memory.path());
    if (!file) {
        if (file.error().message.empty()) std::abort();
        return 0;
    }
    unsigned sum = 0;
    for (const auto& tensor : file->tensors()) {
        if (tensor.bytes == 0) continue;
        sum += static_cast<unsigned>(tensor.data[0]) + static_cast<unsigned>(tensor.data[tensor.bytes - 1]);
    }
    static volatile unsigned sink;
    sink = sum;
    (void)sink;
    if (auto parts = tokenizer_from_gguf(*file))
        exercise(std::make_shared<const Tokenizer>(*std::move(parts)));
    return 0;
}
