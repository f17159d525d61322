#include "model/tensor_taker.hpp"

#include <limits>

#include "model/formats/printable.hpp"

namespace troupe {
namespace {

std::string shape_text(const std::vector<std::uint64_t>& shape) {
    std::string text = "[";
    for (const std::uint64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

}  // namespace

std::optional<NamedTensor> TensorTaker::take(const std::string& name,
                                             const std::vector<std::uint64_t>& shape) {
    if (!status_) return std::nullopt;
    auto found = request_.find(name);
    if (!found) {
        fail("has no tensor " + name + ", which a model of this shape needs.");
        return std::nullopt;
    }
    if (found->shape != shape) {
        fail("tensor " + name + " has shape " + shape_text(found->shape) +
             ", but the model's dimensions call for " + shape_text(shape) + ".");
        return std::nullopt;
    }
    taken_.insert(name);
    return found;
}

Tensor TensorTaker::matrix(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const auto found = take(name, shape);
    if (!found) return {};
    if (!found->dtype) {
        fail("tensor " + name + " has type " + std::string(found->type_name) + "; known are " +
             dtype_names() + ".");
        return {};
    }
    std::uint64_t rows = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];  // the file has them all
    if (rows > std::numeric_limits<std::uint32_t>::max()) {
        fail("tensor " + name + " is too large.");
        return {};
    }
    const Tensor tensor{*found->dtype, static_cast<std::uint32_t>(rows),
                        static_cast<std::uint32_t>(shape.back()), found->data};
    hash_tensor(name, tensor);
    return tensor;
}

Tensor TensorTaker::vector(const std::string& name, std::uint32_t size) {
    const Tensor tensor = matrix(name, {size});
    if (tensor && !is_float(tensor.dtype))
        fail("tensor " + name + " has type " + dtype_name(tensor.dtype) + "; it must be F32, F16 or BF16.");
    return tensor;
}

Tensor TensorTaker::vectors(const std::string& name, std::uint32_t count, std::uint32_t size) {
    const Tensor tensor = matrix(name, {count, size});
    if (tensor && !is_float(tensor.dtype))
        fail("tensor " + name + " has type " + dtype_name(tensor.dtype) + "; it must be F32, F16 or BF16.");
    return tensor;
}

const std::byte* TensorTaker::raw(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const auto found = take(name, shape);
    if (!found) return nullptr;
    if (found->type_name != "U8") {
        fail("tensor " + name + " has type " + std::string(found->type_name) + "; it must be U8.");
        return nullptr;
    }
    std::uint64_t bytes = 1;
    for (const std::uint64_t size : shape) bytes *= size;
    hash(name.data(), name.size());
    hash_sample(found->data, bytes);
    return found->data;
}

std::byte* TensorTaker::allocate(std::size_t bytes) {
    auto memory = std::make_shared<std::vector<std::byte>>(bytes);
    std::byte* data = memory->data();
    storage_.push_back(std::move(memory));
    return data;
}

void TensorTaker::refuse_what_is_left(const std::string& architecture) {
    for (const std::string_view name : request_.all) {
        if (!status_) return;
        if (taken_.count(name) != 0 || request_.leave_out(name)) continue;
        fail("tensor " + printable(name) + " has no place in a " + architecture +
             " model of this shape: results without it would be wrong.");
    }
}

void TensorTaker::fail(const std::string& what) {
    if (status_) status_ = invalid_argument(request_.where + ": " + what, "model");
}

// FNV-1a, over a sample of each tensor: enough to tell models apart, without reading them.
void TensorTaker::hash(const void* bytes, std::size_t count) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < count; ++i) hash_ = (hash_ ^ at[i]) * 0x100000001B3U;
}

void TensorTaker::hash_sample(const std::byte* data, std::size_t bytes) {
    constexpr std::size_t sample = 64;
    constexpr std::size_t samples = 4;
    if (bytes <= sample * samples) return hash(data, bytes);
    for (std::size_t i = 0; i < samples; ++i) hash(data + (bytes - sample) / (samples - 1) * i, sample);
}

void TensorTaker::hash_tensor(const std::string& name, const Tensor& tensor) {
    hash(name.data(), name.size());
    const std::uint32_t facts[] = {static_cast<std::uint32_t>(tensor.dtype), tensor.rows, tensor.columns};
    hash(facts, sizeof facts);
    hash_sample(tensor.data, row_bytes(tensor.dtype, tensor.columns) * tensor.rows);
}

Tensor rows_of(const Tensor& tensor, std::uint32_t first, std::uint32_t count) {
    if (!tensor) return {};
    return {tensor.dtype, count, tensor.columns,
            tensor.data + std::size_t{first} * row_bytes(tensor.dtype, tensor.columns)};
}

}  // namespace troupe
