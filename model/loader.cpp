#include "model/loader.hpp"

#include <algorithm>

#include "model/gguf_loader.hpp"
#include "model/hf_loader.hpp"

namespace troupe {

Result<LoadedModel> load_model(const std::filesystem::path& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) {
        return invalid_argument(
            path.string() + " does not exist: give a GGUF file or a Hugging Face directory.", "model");
    }
    auto model = std::filesystem::is_directory(status) ? load_hf_directory(path) : load_gguf(path);
    if (!model) return model;
    if (model->tokenizer) {
        model->bos_token = model->tokenizer->bos_token();
        model->eos_token = model->tokenizer->eos_token();
        auto& ends = model->generation.end_token_ids;
        const auto eos = model->tokenizer->eos_id();
        if (eos && std::find(ends.begin(), ends.end(), *eos) == ends.end()) ends.push_back(*eos);
        if (model->tokenizer->vocab_size() > model->spec.vocab_size) {
            return invalid_argument(
                path.string() + ": the tokenizer has " + std::to_string(model->tokenizer->vocab_size()) +
                    " tokens, the model's embedding only " + std::to_string(model->spec.vocab_size) + ".",
                "model");
        }
    }
    return model;
}

}  // namespace troupe
