#include "model/gguf_loader.hpp"

#include <algorithm>

#include "model/formats/gguf.hpp"
#include "model/gguf_names.hpp"
#include "model/gguf_spec.hpp"
#include "model/weights_builder.hpp"

namespace troupe {
namespace {

class GgufLoader {
  public:
    explicit GgufLoader(const GgufFile& file) : file_(file), where_(file.path().string()) {}

    Result<LoadedModel> load() {
        LoadedModel model;
        model.name = file_.path().stem().string();
        model.is_gguf = true;
        auto spec = read_gguf_spec(file_);
        if (!spec) return spec.error();
        model.spec = std::move(*spec);
        auto weights = read_weights(model.spec);
        if (!weights) return weights.error();
        model.weights = std::make_shared<const Weights>(std::move(*weights));
        if (auto status = read_end_tokens(model); !status) return status.error();
        if (const auto source = file_.get_string("tokenizer.chat_template")) model.chat_template = *source;
        if (file_.get_string("tokenizer.ggml.model").value_or("none") != "none") {
            auto tokenizer = load_tokenizer(file_);
            if (!tokenizer) return tokenizer.error();
            model.tokenizer = std::move(*tokenizer);
        }
        return model;
    }

  private:
    Error fail(const std::string& what) const { return invalid_argument(where_ + ": " + what, "model"); }

    Result<Weights> read_weights(const ModelSpec& spec) {
        WeightsRequest request;
        request.where = where_;
        request.names = gguf_names(spec.architecture);
        const bool gpt_oss = spec.architecture == "gpt-oss";
        if (gpt_oss && file_.find_tensor("blk.0.ffn_norm.weight")) request.names.ffn_norm = "ffn_norm";
        if (gpt_oss && file_.find_tensor("blk.0.attn_sinks")) request.names.sinks = "attn_sinks";
        request.attention_biases =
            gpt_oss ? WeightsRequest::Biases::qkvo : WeightsRequest::Biases::if_present;
        request.ffn_biases = WeightsRequest::FfnBiases::if_present;
        request.sinks = gpt_oss;
        request.expert_biases = gpt_oss;
        request.head = WeightsRequest::Head::own_if_present;
        request.find = [this](const std::string& name) -> std::optional<NamedTensor> {
            const GgufTensor* tensor = file_.find_tensor(name);
            if (!tensor) return std::nullopt;
            return NamedTensor{
                tensor->dtype, tensor->type_name, {tensor->dims.rbegin(), tensor->dims.rend()}, tensor->data};
        };
        for (const GgufTensor& tensor : file_.tensors()) request.all.push_back(tensor.name);
        request.leave_out = [](std::string_view name) {
            // Those of the spec, and what old files hold though the rotary base says it.
            return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
                   name == "rope_factors_short.weight" || name.ends_with(".attn_rot_embd.weight");
        };
        auto weights = build_weights(spec, request);
        if (!weights) return weights;
        weights->storage.push_back(file_.storage());
        weights->mapped.push_back(file_.storage()->bytes());
        return weights;
    }

    // eot ends a turn, eom a message to a tool: a model that makes either waits for somebody else.
    Status read_end_tokens(LoadedModel& model) {
        for (const char* key :
             {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
            if (!file_.has(key)) continue;
            const auto id = file_.require_uint(key);
            if (!id) return id.error();
            if (*id >= model.spec.vocab_size)
                return fail(std::string(key) + " is outside of the vocabulary.");
            auto& ids = model.generation.end_token_ids;
            const auto token = static_cast<TokenId>(*id);
            if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
        }
        return {};
    }

    const GgufFile& file_;
    std::string where_;
};

}  // namespace

Result<LoadedModel> load_gguf(const std::filesystem::path& path) {
    auto file = GgufFile::open(path);
    if (!file) return file.error();
    return GgufLoader(*file).load();
}

}  // namespace troupe
