// Matrix products beside what the machine can do: weights always come from memory, as in a model.
//     kernel_bench [threads] [formats, e.g. Q4_1,Q8_0] [model: smollm2 or 1b] [kernel path, e.g. avx2]
// One row: GB/s of weights and its share of the measured read bandwidth. More: GOP/s and its share of the
// measured peak of the instruction that does the work (vpdpbusd for int8 activations, fma for float32 ones).
// Each cell is the best of short trials, each beside its own measurement of the peak, because machines are
// shared.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cpu/machine_peaks.hpp"
#include "cpu/packed_matrix.hpp"
#include "tests/cpu/random_tensor.hpp"

using namespace troupe;

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

KernelPath path = best_kernel_path();

// The products of one phase of a layer: matrices that share their input.
struct Phase {
    const char* name;
    std::uint32_t columns;
    std::vector<std::uint32_t> rows;
};

struct Model {
    const char* name;
    std::size_t layers;
    std::vector<Phase> phases;  // of each layer
    Phase head;                 // its weights are Q8_0 in both files
};

const Model models[] = {
    {"smollm2",
     30,
     {{"qkv", 576, {576, 192, 192}},
      {"o", 576, {576}},
      {"gate,up", 576, {1536, 1536}},
      {"down", 1536, {576}}},
     {"head", 576, {49152}}},
    {"1b",
     16,
     {{"qkv", 2048, {2048, 512, 512}},
      {"o", 2048, {2048}},
      {"gate,up", 2048, {8192, 8192}},
      {"down", 8192, {2048}}},
     {"head", 2048, {128256}}},
};

// Copies of a phase's matrices, used in turns, with input and output for them.
class PhaseRunner {
  public:
    PhaseRunner(ComputePool& pool, DType dtype, const Phase& phase, std::size_t copies)
        : pool_(pool), phase_(phase), sets_(copies) {
        for (std::uint32_t rows : phase.rows) {
            const RandomTensor one(dtype, rows, phase.columns, rows);
            for (auto& set : sets_) {
                set.push_back(PackedMatrix::pack(pool, one.tensor, Arithmetic::native, arena_));
            }
            all_rows_ += rows;
        }
        products_.resize(phase.rows.size());
    }

    void set_batch(std::size_t count) {
        count_ = count;
        x_stride_ = phase_.columns % 1024 == 0 ? phase_.columns + 16 : phase_.columns;
        out_stride_ = all_rows_ % 1024 == 0 ? all_rows_ + 16 : all_rows_;
        x_ = random_rows(count * x_stride_, 3);
        out_.assign(count * out_stride_, 0.0F);
        quantize();
    }

    void quantize() {
        activations_.bind(x_.data(), count_, phase_.columns, x_stride_);
        if (int8()) activations_.quantize(pool_);
    }

    void multiply_next() {
        const std::vector<PackedMatrix>& matrices = sets_[next_++ % sets_.size()];
        float* out = out_.data();
        for (std::size_t i = 0; i < matrices.size(); ++i) {
            products_[i] = {&matrices[i], out, out_stride_};
            out += matrices[i].rows();
        }
        multiply(pool_, products_, activations_, path);
    }

    bool int8() const { return sets_[0][0].wants_int8(); }
    double operations() const { return 2.0 * static_cast<double>(count_ * all_rows_) * phase_.columns; }
    double bytes() const {  // of one copy
        double sum = 0;
        for (const PackedMatrix& matrix : sets_[0]) sum += static_cast<double>(matrix.bytes());
        return sum;
    }

  private:
    ComputePool& pool_;
    Phase phase_;
    WeightArena arena_;
    std::vector<std::vector<PackedMatrix>> sets_;
    std::size_t all_rows_ = 0, next_ = 0, count_ = 0, x_stride_ = 0, out_stride_ = 0;
    std::vector<float> x_, out_;
    Activations activations_{path};
    std::vector<Product> products_;
};

void print_cell(ComputePool& pool, PhaseRunner& runner, std::size_t count, ReadMeter& meter) {
    runner.set_batch(count);
    const double guess = runner.operations() / 5e11 + runner.bytes() / 3e10;  // seconds
    const int repeats = std::max(1, static_cast<int>(3e-3 / guess)), trials = guess > 0.05 ? 4 : 20;
    double best = 1e9, peak = 0;
    for (int trial = 0; trial < trials; ++trial) {
        peak =
            std::max(peak, count == 1 ? meter.measure(pool)
                                      : measure_peak(pool, runner.int8() ? PeakKind::int8 : PeakKind::fp32));
        const double start = now();
        for (int i = 0; i < repeats; ++i) runner.multiply_next();
        best = std::min(best, (now() - start) / repeats);
    }
    const double rate = (count == 1 ? runner.bytes() : runner.operations()) / best;
    std::printf("  %7.1f (%3.0f%%)", rate * 1e-9, peak > 0 ? 100 * rate / peak : 0.0);
    std::fflush(stdout);
}

void print_products(ComputePool& pool, const Model& model, DType dtype, ReadMeter& meter) {
    std::printf("\n%s %s, %u threads, %s\n%-10s%16s", model.name, dtype_name(dtype), pool.num_threads(),
                kernel_path_name(path), "", "M = 1, GB/s");
    const std::size_t counts[] = {8, 32, 128, 512};
    for (std::size_t count : counts) std::printf("%9s%3zu, GOP/s", "M = ", count);
    std::vector<Phase> phases = model.phases;
    phases.push_back(model.head);
    for (const Phase& phase : phases) {
        std::size_t bytes = 0;
        for (std::uint32_t rows : phase.rows) bytes += rows * row_bytes(dtype, phase.columns);
        PhaseRunner runner(pool, dtype, phase, std::max<std::size_t>(1, (std::size_t{200} << 20) / bytes));
        std::printf("\n%-10s", phase.name);
        print_cell(pool, runner, 1, meter);
        for (std::size_t count : counts) {
            if (count <= 32 || phase.rows[0] != model.head.rows[0]) print_cell(pool, runner, count, meter);
        }
    }
    std::printf("\n");
}

// What a step of `count` tokens would do at best: all its products and the quantization of their inputs.
void print_steps(ComputePool& pool, const Model& model, DType dtype, ReadMeter& meter) {
    std::vector<std::unique_ptr<PhaseRunner>> phases;
    double bytes = 0, read = 0;
    for (const Phase& phase : model.phases) {
        phases.push_back(std::make_unique<PhaseRunner>(pool, dtype, phase, model.layers));
        bytes += phases.back()->bytes() * static_cast<double>(model.layers);
    }
    PhaseRunner head(pool, DType::q8_0, model.head, 1);
    bytes += head.bytes();
    for (int i = 0; i < 10; ++i) read = std::max(read, meter.measure(pool));
    std::printf("\n%s %s, %.0f MB, products alone, tokens/s (read %.1f GB/s: at most %.0f at M = 1):",
                model.name, dtype_name(dtype), bytes * 1e-6, read * 1e-9, read / bytes);
    for (std::size_t count : {1, 8, 32, 128, 512}) {
        for (auto& phase : phases) phase->set_batch(count);
        head.set_batch(count > 32 ? 1 : count);  // a prompt's last token alone needs logits
        double best = 1e9;
        for (int trial = 0; trial < (count > 32 ? 4 : 15); ++trial) {
            const double start = now();
            for (std::size_t layer = 0; layer < model.layers; ++layer) {
                for (auto& phase : phases) {
                    phase->quantize();
                    phase->multiply_next();
                }
            }
            head.quantize();
            head.multiply_next();
            best = std::min(best, now() - start);
        }
        std::printf("  M = %zu: %.0f", count, static_cast<double>(count) / best);
        std::fflush(stdout);
    }
    std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
    ComputePool pool(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0);
    const std::string formats =
        std::string(",") + (argc > 2 ? argv[2] : "Q8_0,Q4_0,Q4_1,Q4_K,Q5_K,Q6_K,MXFP4,BF16,F16,F32") + ",";
    const Model& model = argc > 3 && std::string(argv[3]) == models[1].name ? models[1] : models[0];
    for (const KernelPath one : all_kernel_paths)
        if (argc > 4 && std::string(argv[4]) == kernel_path_name(one) && kernel_path_supported(one))
            path = one;
    const ComputePool::Turn turn = pool.acquire();
    ReadMeter meter;
    for (DType dtype : all_dtypes) {
        if (formats.find(std::string(",") + dtype_name(dtype) + ",") == std::string::npos) continue;
        if (model.head.columns % block_columns(dtype) != 0) {
            std::printf("\n%s %s: no rows of whole blocks\n", model.name, dtype_name(dtype));
            continue;
        }
        print_products(pool, model, dtype, meter);
        print_steps(pool, model, dtype, meter);
    }
}
