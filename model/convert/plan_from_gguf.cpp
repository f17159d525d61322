#include "model/convert/plan_from_gguf.hpp"

#include <limits>

#include "model/formats/gguf_types.hpp"
#include "model/formats/printable.hpp"

namespace troupe {
namespace {

// Matrices that stay: they are small, and everything depends on them. As llama.cpp's own program leaves them.
bool is_weight_matrix(const GgufTensor& tensor) {
    if (tensor.dims.size() < 2 || !tensor.name.ends_with(".weight")) return false;
    for (const char* part : {"_norm.", "ffn_gate_inp", "rope_", "position_embd", "token_types", "ssm_conv1d",
                             "time_mix_", "attn_rel_b", "shortconv"})
        if (tensor.name.find(part) != std::string_view::npos) return false;
    return true;
}

Result<Tensor> whole_tensor(const GgufFile& file, const GgufTensor& tensor) {
    const std::string name = file.path().string() + ": tensor " + printable(tensor.name);
    if (!tensor.dtype) {
        return invalid_argument(name + " has type " + std::string(tensor.type_name) +
                                ", which cannot be read; known are " + dtype_names() + ".");
    }
    std::uint64_t rows = 1;
    for (std::size_t i = 1; i < tensor.dims.size(); ++i) rows *= tensor.dims[i];  // the file has them all
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    if (rows > most || tensor.dims[0] > most) return invalid_argument(name + " is too large.");
    return Tensor{*tensor.dtype, static_cast<std::uint32_t>(rows), static_cast<std::uint32_t>(tensor.dims[0]),
                  tensor.data};
}

}  // namespace

Result<GgufPlan> plan_from_gguf(const GgufFile& file, TypeChooser& types) {
    if (file.get_uint("split.count").value_or(1) > 1) {
        return invalid_argument(file.path().string() +
                                " is one of several files of a model; merge them first (llama-gguf-split "
                                "--merge).");
    }
    GgufPlan plan;
    for (const auto& [key, value] : file.metadata())
        if (!key.starts_with("quantize.imatrix.")) plan.head.set(std::string(key), value);
    set_file_type(plan.head, types.wanted());
    plan.alignment = file.get_uint("general.alignment").value_or(32);
    for (const GgufTensor& tensor : file.tensors()) {
        PlannedTensor planned{std::string(tensor.name), tensor.dims, tensor.ggml_type, {}, {}};
        if (is_weight_matrix(tensor)) {
            auto whole = whole_tensor(file, tensor);
            if (!whole) return whole.error();
            const bool ends = tensor.name == "token_embd.weight" || tensor.name == "output.weight";
            whole->becomes = ends ? types.of_end(whole->dtype, whole->columns)
                                  : types.of_matrix(whole->dtype, whole->columns);
            planned.ggml_type = gguf::tensor_type_of(whole->type()).id;
            planned.parts.push_back(*whole);
        } else {
            planned.as_it_is = {tensor.data, tensor.bytes};
        }
        plan.tensors.push_back(std::move(planned));
    }
    plan.notes = types.notes();
    plan.storage.push_back(file.storage());
    plan.mapped.push_back(file.storage()->bytes());
    return plan;
}

}  // namespace troupe
