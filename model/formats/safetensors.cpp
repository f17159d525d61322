#include "model/formats/safetensors.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "model/formats/printable.hpp"

namespace troupe {

namespace {

namespace dom = simdjson::dom;

constexpr std::uint64_t max_header_bytes = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t max_index_bytes = 100'000'000;
constexpr std::size_t max_dims = 8;

struct StoredType {
    std::string_view name;
    std::optional<DType> dtype;
    std::uint64_t bytes;
};
constexpr StoredType stored_types[] = {
    {"F32", DType::f32, 4}, {"F16", DType::f16, 2}, {"BF16", DType::bf16, 2}, {"U8", std::nullopt, 1}};

// The tensors of one file, from its header.
class HeaderReader {
  public:
    HeaderReader(const MappedFile& file, std::map<std::string, SafeTensor, std::less<>>& tensors)
        : file_(file), tensors_(tensors) {}

    Status read() {
        const auto bytes = file_.bytes();
        std::uint64_t header_size = 0;
        if (bytes.size() < sizeof(header_size)) return bad("the file ends inside the header's length.");
        std::memcpy(&header_size, bytes.data(), sizeof(header_size));
        const std::uint64_t room = bytes.size() - sizeof(header_size);
        if (header_size > room || header_size > max_header_bytes) {
            return bad("the header claims " + std::to_string(header_size) + " bytes; the file has room for " +
                       std::to_string(room) + ", and at most " + std::to_string(max_header_bytes) +
                       " are allowed. This is no safetensors file, or it was not copied whole.");
        }
        data_ = bytes.subspan(sizeof(header_size) + header_size);
        dom::parser parser;
        dom::object header;
        const char* text = reinterpret_cast<const char*>(bytes.data()) + sizeof(header_size);
        const auto error = parser.parse(text, header_size).get(header);
        if (error)
            return bad(std::string("the header is not a JSON object: ") + simdjson::error_message(error) +
                       ".");
        for (const auto [name, description] : header) {
            if (name == "__metadata__") continue;
            if (Status s = read_tensor(name, description); !s) return s;
        }
        return check_overlaps();
    }

  private:
    Error bad(const std::string& what) const { return invalid_argument(file_.path().string() + ": " + what); }

    Status read_tensor(std::string_view name, const dom::element& description) {
        const std::string label = "tensor '" + printable(name) + "'";
        std::string_view type;
        dom::array shape;
        dom::array offsets;
        if (description["dtype"].get(type) || description["shape"].get(shape) ||
            description["data_offsets"].get(offsets)) {
            return bad(label + " should be described by 'dtype', 'shape' and 'data_offsets'.");
        }
        const auto* stored = std::find_if(std::begin(stored_types), std::end(stored_types),
                                          [type](const StoredType& t) { return t.name == type; });
        if (stored == std::end(stored_types)) {
            return bad(label + " has the type " + printable(type) + "; F32, F16, BF16 and U8 are supported.");
        }
        SafeTensor tensor;
        tensor.dtype = stored->dtype;
        tensor.bytes = stored->bytes;
        for (const dom::element element : shape) {
            std::uint64_t dim = 0;
            if (element.get(dim) || tensor.shape.size() == max_dims ||
                __builtin_mul_overflow(tensor.bytes, dim, &tensor.bytes)) {
                return bad(label + " has a shape that is no list of at most " + std::to_string(max_dims) +
                           " sizes, or that is too large to be counted.");
            }
            tensor.shape.push_back(dim);
        }
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
        if (offsets.size() != 2 || offsets.at(0).get(begin) || offsets.at(1).get(end) || begin > end) {
            return bad(label + " should have two ascending data_offsets.");
        }
        if (end > data_.size()) {
            return bad(label + " ends at offset " + std::to_string(end) + ", but the file has " +
                       std::to_string(data_.size()) + " bytes of data; it was not copied whole.");
        }
        if (end - begin != tensor.bytes) {
            return bad(label + " has " + std::to_string(end - begin) + " bytes; its type and shape make " +
                       std::to_string(tensor.bytes) + ".");
        }
        tensor.data = data_.data() + begin;
        if (!tensors_.emplace(std::string(name), tensor).second) return bad(label + " appears twice.");
        ranges_.push_back({begin, end, std::string(name)});
        return {};
    }

    Status check_overlaps() {
        std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
            return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
        });
        for (std::size_t i = 1; i < ranges_.size(); ++i) {
            if (ranges_[i - 1].end > ranges_[i].begin) {
                return bad("the tensors '" + printable(ranges_[i - 1].name) + "' and '" +
                           printable(ranges_[i].name) + "' overlap.");
            }
        }
        return {};
    }

    struct Range {
        std::uint64_t begin;
        std::uint64_t end;
        std::string name;
    };

    const MappedFile& file_;
    std::map<std::string, SafeTensor, std::less<>>& tensors_;
    std::span<const std::byte> data_;
    std::vector<Range> ranges_;
};

// A shard's name as the index may give it: a plain file name, never a way out of the directory.
bool is_plain_file_name(std::string_view name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
           name.find('\0') == std::string_view::npos;
}

// tensor name -> shard, from model.safetensors.index.json.
Result<std::map<std::string, std::string>> read_index(const std::filesystem::path& path) {
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    const auto bad = [&path](const std::string& what) {
        return invalid_argument(path.string() + ": " + what);
    };
    const auto bytes = (*file)->bytes();
    if (bytes.size() > max_index_bytes) {
        return bad("the index has more than " + std::to_string(max_index_bytes) + " bytes.");
    }
    dom::parser parser;
    dom::object weight_map;
    const auto error =
        parser.parse(reinterpret_cast<const char*>(bytes.data()), bytes.size())["weight_map"].get(weight_map);
    if (error) {
        return bad(std::string("there is no JSON object with a 'weight_map': ") +
                   simdjson::error_message(error) + ".");
    }
    std::map<std::string, std::string> shard_of;
    for (const auto [name, element] : weight_map) {
        std::string_view shard;
        if (element.get(shard) || !is_plain_file_name(shard)) {
            return bad("the shard of tensor '" + printable(name) +
                       "' is not the name of a file in the directory.");
        }
        if (!shard_of.emplace(std::string(name), std::string(shard)).second) {
            return bad("tensor '" + printable(name) + "' appears twice.");
        }
    }
    return shard_of;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
    auto file = MappedFile::open(path);
    if (!file) return file.error();
    SafetensorsFile opened;
    if (Status s = HeaderReader(**file, opened.tensors_).read(); !s) return s.error();
    opened.storage_.push_back(std::move(*file));
    return opened;
}

Result<SafetensorsFile> SafetensorsFile::open_directory(const std::filesystem::path& directory) {
    const auto single = directory / "model.safetensors";
    const auto index = directory / "model.safetensors.index.json";
    std::error_code ignored;
    if (std::filesystem::exists(single, ignored)) return open(single);
    if (!std::filesystem::exists(index, ignored)) {
        return not_found(directory.string() +
                         " has neither model.safetensors nor model.safetensors.index.json.");
    }
    const auto shard_of = read_index(index);
    if (!shard_of) return shard_of.error();

    SafetensorsFile whole;
    std::map<std::string, SafetensorsFile> shards;
    for (const auto& [name, shard] : *shard_of) {
        auto found = shards.find(shard);
        if (found == shards.end()) {
            auto opened = open(directory / shard);
            if (!opened) return opened.error();
            whole.storage_.push_back(opened->storage_.front());
            found = shards.emplace(shard, std::move(*opened)).first;
        }
        const SafeTensor* tensor = found->second.find_tensor(name);
        if (tensor == nullptr) {
            return invalid_argument(index.string() + ": tensor '" + printable(name) +
                                    "' is not in the shard " + printable(shard) +
                                    " that the index names for it.");
        }
        whole.tensors_.emplace(name, *tensor);
    }
    return whole;
}

const SafeTensor* SafetensorsFile::find_tensor(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace troupe
