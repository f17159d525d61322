#include "model/convert/gguf_plan.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "model/formats/output_file.hpp"
#include "model/formats/printable.hpp"

namespace troupe {
namespace {

constexpr std::size_t slab_bytes = std::size_t{8} << 20;  // of rows that are written together

class Writer {
  public:
    Writer(const GgufPlan& plan, OutputFile& file, const ForAll& for_all)
        : plan_(plan), file_(file), for_all_(for_all) {}

    Status write_head() {
        GgufHead head = plan_.head;
        for (const PlannedTensor& tensor : plan_.tensors)
            head.add_tensor(tensor.name, tensor.dims, tensor.ggml_type, tensor.bytes());
        const std::string bytes = head.bytes(plan_.alignment);
        return file_.write(std::as_bytes(std::span(bytes)));
    }

    Status write_tensor(const PlannedTensor& tensor) {
        if (tensor.parts.empty()) {
            if (Status s = file_.write(tensor.as_it_is); !s) return s;
        }
        for (const Tensor& part : tensor.parts)
            if (Status s = write_part(tensor, part); !s) return s;
        const std::vector<std::byte> padding(gguf_padding(tensor.bytes(), plan_.alignment));
        if (Status s = file_.write(padding); !s) return s;
        // What was read is not needed again: the file's pages would pile up in memory.
        for (const auto bytes : plan_.mapped)
            madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_DONTNEED);
        return {};
    }

  private:
    Status write_part(const PlannedTensor& tensor, const Tensor& part) {
        const std::size_t row_size = row_bytes(part.type(), part.columns);
        if (part.read_as_stored()) return file_.write({part.data, row_size * part.rows});
        const std::size_t at_once = std::max<std::size_t>(1, slab_bytes / row_size);
        const std::size_t chunk = std::max<std::size_t>(1, 65536 / part.columns);  // rows of a thread's turn
        for (std::size_t first = 0; first < part.rows; first += at_once) {
            const std::size_t count = std::min<std::size_t>(at_once, part.rows - first);
            slab_.resize(count * row_size);
            std::atomic<bool> finite = true;
            for_all_((count + chunk - 1) / chunk, [&](std::size_t index) {
                RowScratch scratch;
                for (std::size_t i = index * chunk; i < std::min(count, (index + 1) * chunk); ++i) {
                    const std::byte* row = read_row(part, static_cast<std::uint32_t>(first + i), scratch);
                    std::memcpy(slab_.data() + i * row_size, row, row_size);
                }
                if (!scratch.finite) finite = false;
            });
            if (!finite) {
                return invalid_argument("tensor " + printable(tensor.name) +
                                        " holds a value that is not finite, or too large for " +
                                        dtype_name(part.type()) + ": the model is damaged.");
            }
            if (Status s = file_.write(slab_); !s) return s;
        }
        return {};
    }

    const GgufPlan& plan_;
    OutputFile& file_;
    const ForAll& for_all_;
    std::vector<std::byte> slab_;
};

}  // namespace

std::uint64_t PlannedTensor::bytes() const {
    std::uint64_t total = as_it_is.size();
    for (const Tensor& part : parts) total += row_bytes(part.type(), part.columns) * part.rows;
    return total;
}

Status write_gguf(const GgufPlan& plan, const std::filesystem::path& path, const ForAll& for_all,
                  const WriteProgress& progress,
                  const std::function<Status(const std::filesystem::path& written)>& check) {
    auto file = OutputFile::create(path);
    if (!file) return file.error();
    Writer writer(plan, *file, for_all);
    if (Status s = writer.write_head(); !s) return s;
    std::uint64_t total = 0, done = 0;
    for (const PlannedTensor& tensor : plan.tensors) total += tensor.bytes();
    for (const PlannedTensor& tensor : plan.tensors) {
        if (Status s = writer.write_tensor(tensor); !s) return s;
        done += tensor.bytes();
        if (progress) progress(done, total);
    }
    if (check) {
        if (Status s = check(file->temporary()); !s) return s;
    }
    return file->finish();
}

// llama.cpp's enum llama_ftype.
void set_file_type(GgufHead& head, DType type) {
    std::uint32_t number = 7;  // mostly Q8_0
    if (type == DType::q4_0) number = 2;
    if (type == DType::q4_1) number = 3;
    if (type == DType::q4_k) number = 14;  // Q4_K_S
    head.set("general.file_type", number);
    head.set("general.quantization_version", std::uint32_t{2});
}

}  // namespace troupe
