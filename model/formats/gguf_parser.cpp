#include <algorithm>
#include <bit>
#include <cstring>

#include "model/formats/gguf.hpp"
#include "model/formats/gguf_types.hpp"
#include "model/formats/printable.hpp"

namespace troupe {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in the file");

namespace {

constexpr std::uint64_t max_key_length = 65535;  // the format's own limit
constexpr std::uint64_t max_alignment = 1 << 20;
constexpr std::uint32_t max_dims = 4;
constexpr int max_array_depth = 4;
// The least that an entry takes: a key is a length, one byte, a type and one byte; a tensor a length, one
// byte, a number of dimensions, one dimension, a type and an offset.
constexpr std::uint64_t min_metadata_bytes = 8 + 1 + 4 + 1;
constexpr std::uint64_t min_tensor_bytes = 8 + 1 + 4 + 8 + 4 + 8;

bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) {
    return !__builtin_mul_overflow(a, b, &product);
}

}  // namespace

// Walks the file once, front to back, and fills a GgufFile.
class GgufParser {
  public:
    explicit GgufParser(std::shared_ptr<const MappedFile> storage) : bytes_(storage->bytes()) {
        file_.storage_ = std::move(storage);
    }

    Result<GgufFile> parse() {
        if (Status s = read_header(); !s) return s.error();
        for (std::uint64_t i = 0; i < metadata_count_; ++i) {
            if (Status s = read_metadata(i); !s) return s.error();
        }
        if (Status s = read_alignment(); !s) return s.error();
        for (std::uint64_t i = 0; i < tensor_count_; ++i) {
            if (Status s = read_tensor(i); !s) return s.error();
        }
        if (Status s = place_tensors(); !s) return s.error();
        return std::move(file_);
    }

  private:
    Error bad(const std::string& what) const { return invalid_argument(file_.path().string() + ": " + what); }

    Error truncated(const std::string& inside) const {
        return bad("the file ends inside " + inside + " (it has " + std::to_string(bytes_.size()) +
                   " bytes); it is damaged or was not copied whole.");
    }

    std::uint64_t remaining() const { return bytes_.size() - position_; }

    template <class T>
    bool read(T& value) {
        if (remaining() < sizeof(T)) return false;
        std::memcpy(&value, bytes_.data() + position_, sizeof(T));
        position_ += sizeof(T);
        return true;
    }

    bool skip(std::uint64_t size) {
        if (remaining() < size) return false;
        position_ += size;
        return true;
    }

    bool read_string(std::string_view& value) {
        std::uint64_t length = 0;
        if (!read(length)) return false;
        value = {reinterpret_cast<const char*>(bytes_.data() + position_), 0};
        if (!skip(length)) return false;
        value = {value.data(), length};
        return true;
    }

    Status read_header() {
        char magic[4] = {};
        std::uint32_t version = 0;
        if (!read(magic)) return truncated("the magic number");
        if (std::memcmp(magic, "GGUF", 4) != 0) {
            return bad("this is not a GGUF file: it does not begin with the bytes 'GGUF'.");
        }
        if (!read(version)) return truncated("the version");
        if (version != 2 && version != 3) {
            const bool swapped = version == 0x02000000 || version == 0x03000000;
            return bad(
                swapped
                    ? "big-endian GGUF files are not supported; convert the model again without that option."
                    : "GGUF version " + std::to_string(version) +
                          " is not supported; versions 2 and 3 are. Convert the model again.");
        }
        if (!read(tensor_count_) || !read(metadata_count_)) return truncated("the header");
        if (metadata_count_ > remaining() / min_metadata_bytes) {
            return bad("the header claims " + std::to_string(metadata_count_) +
                       " metadata entries, more than the file has room for.");
        }
        if (tensor_count_ > remaining() / min_tensor_bytes) {
            return bad("the header claims " + std::to_string(tensor_count_) +
                       " tensors, more than the file has room for.");
        }
        return {};
    }

    Status read_metadata(std::uint64_t index) {
        const std::string number = std::to_string(index + 1) + " of " + std::to_string(metadata_count_);
        std::string_view key;
        if (!read_string(key)) return truncated("the key of metadata entry " + number);
        if (key.empty() || key.size() > max_key_length) {
            return bad("the key of metadata entry " + number + " has " + std::to_string(key.size()) +
                       " bytes; 1 to " + std::to_string(max_key_length) + " are allowed.");
        }
        GgufValue value;
        if (!read(value.type)) return truncated("the type of metadata key '" + printable(key) + "'");
        std::uint64_t start = position_;
        if (value.type == gguf::type_array) {
            if (!read(value.element_type) || !read(value.count)) {
                return truncated("the array of metadata key '" + printable(key) + "'");
            }
            start = position_;
            if (Status s = skip_elements(key, value.element_type, value.count, 1); !s) return s;
        } else if (Status s = skip_value(key, value.type); !s) {
            return s;
        }
        value.data = bytes_.subspan(start, position_ - start);
        if (!file_.metadata_.emplace(key, value).second) {
            return bad("the metadata key '" + printable(key) + "' appears twice.");
        }
        return {};
    }

    Status skip_value(std::string_view key, std::uint32_t type) {
        if (const std::size_t size = gguf::value_size(type); size != 0) {
            return skip(size) ? Status() : truncated("the value of metadata key '" + printable(key) + "'");
        }
        if (type == gguf::type_string) {
            std::string_view ignored;
            return read_string(ignored) ? Status()
                                        : truncated("the value of metadata key '" + printable(key) + "'");
        }
        return bad("the metadata key '" + printable(key) + "' has the unknown value type " +
                   std::to_string(type) + ".");
    }

    Status skip_elements(std::string_view key, std::uint32_t type, std::uint64_t count, int depth) {
        if (const std::size_t size = gguf::value_size(type); size != 0) {
            std::uint64_t total = 0;
            if (!multiply(size, count, total) || !skip(total)) {
                return truncated("the array of metadata key '" + printable(key) + "' (" +
                                 std::to_string(count) + " elements)");
            }
            return {};
        }
        // Each element reads at least eight bytes, so a lying count ends at the end of the file.
        for (std::uint64_t i = 0; i < count; ++i) {
            if (type != gguf::type_array) {
                if (Status s = skip_value(key, type); !s) return s;
                continue;
            }
            if (depth == max_array_depth) {
                return bad("the metadata key '" + printable(key) + "' nests arrays deeper than " +
                           std::to_string(max_array_depth) + " levels.");
            }
            std::uint32_t inner_type = 0;
            std::uint64_t inner_count = 0;
            if (!read(inner_type) || !read(inner_count)) {
                return truncated("the array of metadata key '" + printable(key) + "'");
            }
            if (Status s = skip_elements(key, inner_type, inner_count, depth + 1); !s) return s;
        }
        return {};
    }

    Status read_alignment() {
        constexpr std::string_view key = "general.alignment";
        const Result<std::uint64_t> stored = file_.uint_or(key, 32);
        if (!stored) return stored.error();
        alignment_ = *stored;
        if (!std::has_single_bit(alignment_) || alignment_ > max_alignment) {
            return bad("general.alignment is " + std::to_string(alignment_) + "; a power of two up to " +
                       std::to_string(max_alignment) + " is allowed.");
        }
        return {};
    }

    Status read_tensor(std::uint64_t index) {
        const std::string number = std::to_string(index + 1) + " of " + std::to_string(tensor_count_);
        GgufTensor tensor;
        if (!read_string(tensor.name)) return truncated("the name of tensor " + number);
        if (tensor.name.empty() || tensor.name.size() > max_key_length) {
            return bad("the name of tensor " + number + " has " + std::to_string(tensor.name.size()) +
                       " bytes; 1 to " + std::to_string(max_key_length) + " are allowed.");
        }
        const std::string name = "tensor '" + printable(tensor.name) + "'";
        std::uint32_t dims = 0;
        if (!read(dims)) return truncated("the dimensions of " + name);
        if (dims == 0 || dims > max_dims) {
            return bad(name + " has " + std::to_string(dims) + " dimensions; 1 to " +
                       std::to_string(max_dims) + " are allowed.");
        }
        tensor.dims.resize(dims);
        for (std::uint64_t& dim : tensor.dims) {
            if (!read(dim)) return truncated("the dimensions of " + name);
        }
        std::uint64_t offset = 0;
        if (!read(tensor.ggml_type) || !read(offset)) return truncated("the description of " + name);
        if (Status s = measure(name, tensor); !s) return s;
        if (!file_.tensor_index_.emplace(tensor.name, file_.tensors_.size()).second) {
            return bad(name + " appears twice.");
        }
        file_.tensors_.push_back(std::move(tensor));
        offsets_.push_back(offset);
        return {};
    }

    Status measure(const std::string& name, GgufTensor& tensor) const {
        const gguf::TensorType* type = gguf::find_tensor_type(tensor.ggml_type);
        if (type == nullptr) {
            return bad(name + " has the unknown type " + std::to_string(tensor.ggml_type) +
                       "; the file may come from a newer converter.");
        }
        tensor.type_name = type->name;
        tensor.dtype = type->dtype;
        std::uint64_t elements = 1;
        for (const std::uint64_t dim : tensor.dims) {
            if (dim == 0) return bad(name + " has a dimension of 0.");
            if (!multiply(elements, dim, elements))
                return bad(name + " has more elements than can be counted.");
        }
        if (tensor.dims[0] % type->block_elements != 0) {
            return bad(name + " has rows of " + std::to_string(tensor.dims[0]) + " elements; its type " +
                       std::string(type->name) + " needs a multiple of " +
                       std::to_string(type->block_elements) + ".");
        }
        if (!multiply(elements / type->block_elements, type->block_bytes, tensor.bytes)) {
            return bad(name + " has more bytes than can be counted.");
        }
        return {};
    }

    // The data begin at the next multiple of the alignment; offsets count from there.
    Status place_tensors() {
        if (file_.tensors_.empty()) return {};
        const std::uint64_t data_start = (position_ + alignment_ - 1) / alignment_ * alignment_;
        if (data_start > bytes_.size()) return truncated("the padding before the tensors' data");
        const std::uint64_t data_size = bytes_.size() - data_start;
        std::vector<std::size_t> by_offset(offsets_.size());
        for (std::size_t i = 0; i < offsets_.size(); ++i) {
            by_offset[i] = i;
            GgufTensor& tensor = file_.tensors_[i];
            const std::string name = "tensor '" + printable(tensor.name) + "'";
            if (offsets_[i] % alignment_ != 0) {
                return bad(name + " lies at offset " + std::to_string(offsets_[i]) +
                           ", not a multiple of the alignment " + std::to_string(alignment_) + ".");
            }
            if (offsets_[i] > data_size || tensor.bytes > data_size - offsets_[i]) {
                return bad(name + " (" + std::to_string(tensor.bytes) + " bytes at offset " +
                           std::to_string(offsets_[i]) +
                           ") reaches past the end of the file, whose tensors have " +
                           std::to_string(data_size) + " bytes; it is damaged or was not copied whole.");
            }
            tensor.data = bytes_.data() + data_start + offsets_[i];
        }
        std::sort(by_offset.begin(), by_offset.end(),
                  [this](std::size_t a, std::size_t b) { return offsets_[a] < offsets_[b]; });
        for (std::size_t i = 1; i < by_offset.size(); ++i) {
            const GgufTensor& before = file_.tensors_[by_offset[i - 1]];
            const GgufTensor& after = file_.tensors_[by_offset[i]];
            if (before.data + before.bytes > after.data) {
                return bad("the tensors '" + printable(before.name) + "' and '" + printable(after.name) +
                           "' overlap.");
            }
        }
        return {};
    }

    std::span<const std::byte> bytes_;
    std::uint64_t position_ = 0;
    std::uint64_t tensor_count_ = 0;
    std::uint64_t metadata_count_ = 0;
    std::uint64_t alignment_ = 0;
    std::vector<std::uint64_t> offsets_;  // of file_.tensors_
    GgufFile file_;
};

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
    auto storage = MappedFile::open(path);
    if (!storage) return storage.error();
    return GgufParser(std::move(*storage)).parse();
}

}  // namespace troupe
