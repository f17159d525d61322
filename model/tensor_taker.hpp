// Takes tensors out of a file by name, checks them, and keeps account: of what was taken, its hash, and the
// first failure.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "model/weights_builder.hpp"

namespace troupe {

class TensorTaker {
  public:
    explicit TensorTaker(const WeightsRequest& request) : request_(request) {}

    bool has(const std::string& name) const { return request_.find(name).has_value(); }

    // A matrix, or several of one size as one with the rows of all. Empty after a failure.
    Tensor matrix(const std::string& name, const std::vector<std::uint64_t>& shape);
    // Numbers that are used as float32: F32, F16 or BF16.
    Tensor vector(const std::string& name, std::uint32_t size);
    Tensor vectors(const std::string& name, std::uint32_t count, std::uint32_t size);
    // Bytes that mean nothing by themselves: safetensors' U8.
    const std::byte* raw(const std::string& name, const std::vector<std::uint64_t>& shape);

    // Memory for what has to be rearranged, which the weights keep. May throw std::bad_alloc.
    std::byte* allocate(std::size_t bytes);

    void refuse_what_is_left(const std::string& architecture);
    void fail(const std::string& what);
    const Status& status() const { return status_; }
    std::uint64_t content_hash() const { return hash_; }
    std::vector<std::shared_ptr<const void>> storage() { return std::move(storage_); }

  private:
    std::optional<NamedTensor> take(const std::string& name, const std::vector<std::uint64_t>& shape);
    void hash(const void* bytes, std::size_t count);
    void hash_sample(const std::byte* data, std::size_t bytes);
    void hash_tensor(const std::string& name, const Tensor& tensor);

    const WeightsRequest& request_;
    std::uint64_t hash_ = 0xCBF29CE484222325U;
    std::set<std::string, std::less<>> taken_;
    std::vector<std::shared_ptr<const void>> storage_;
    Status status_;
};

// Rows [first, first + count).
Tensor rows_of(const Tensor& tensor, std::uint32_t first, std::uint32_t count);

}  // namespace troupe
