// tokenizer.json of a Hugging Face directory.
#include "model/tokenizer/loaders.hpp"
#include "tests/fuzz/exercise_tokenizer.hpp"
#include "tests/fuzz/memory_file.hpp"

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const MemoryFile memory(data, size);
    auto parts = tokenizer_from_json(memory.path(), "/nonexistent");
    if (!parts) {
        if (parts.error().message.empty()) std::abort();
        return 0;
    }
    exercise(std::make_shared<const Tokenizer>(*std::move(parts)));
    return 0;
}
