// The loops around the kernels: which outputs are computed together, by whom, and what is fetched meanwhile.
#include <algorithm>
#include <vector>

#include "cpu/kernels.hpp"
#include "cpu/packed_matrix.hpp"

namespace troupe {
namespace {

// Activations of this many rows stay in the second-level cache while the panels go by.
constexpr std::size_t kRowsPerPass = 128;
// With a single tile of rows there is none to spread a panel's prefetch over: fetch this far ahead instead.
constexpr std::size_t kPrefetchAhead = 8192;
// A phase with less work than this (bytes of weights x rows) is done sooner by one thread than shared out.
constexpr std::size_t kWorthSharing = 65536;

// Fewer rows than this: too little arithmetic per line of weights for software prefetch to pay; the
// processor's own prefetcher does better alone. Measured.
std::size_t least_rows_to_prefetch(PanelFormat format) {
    if (!is_quantized(format)) return 8;
    const int bits = low_bits(format) + high_bits(format);
    return bits <= 4 ? 3 : bits <= 6 ? 4 : 5;
}

std::size_t rows_of(const Product& product, const Activations& a) {
    return product.num_rows == Product::all_rows ? a.rows() : product.num_rows;
}

// From the product's row `row` on.
Tile tile_of(const Activations& a, std::size_t row, const Product& product, std::size_t panel) {
    const std::size_t first = panel * kPanelRows, m = product.first_row + row;
    const std::size_t block = m * a.num_blocks();
    return {.panel = product.matrix->panel(panel),
            .columns = a.columns(),
            .q = a.q() + m * a.q_stride(),
            .q_stride = a.q_stride(),
            .scales = a.scales() + block,
            .negated_sums = a.negated_sums() + block,
            .negated_half_sums = a.negated_half_sums() + 2 * block,
            .scaled_sums = a.scaled_sums() + block,
            .num_blocks = a.num_blocks(),
            .x = a.row(m),
            .x_stride = a.stride(),
            .out = product.out + row * product.out_stride + first,
            .out_stride = product.out_stride,
            .out_columns = static_cast<unsigned>(std::min(kPanelRows, product.matrix->rows() - first)),
            .prefetch = nullptr,
            .prefetch_lines = 0};
}

// Panels [begin, end) of one product. A panel is read from memory once per pass and stays in the second-level
// cache for the pass's tiles; while they run, each fetches its share of the panel to come. Tiles go over all
// of k: there are no partial sums, and the order of additions is the same whatever the blocking.
void multiply_panels(const Kernels& kernels, const Product& product, const Activations& a, std::size_t begin,
                     std::size_t end) {
    const PackedMatrix& matrix = *product.matrix;
    const PanelFormat format = matrix.format();
    const TileFunctions& functions = kernels.tiles[static_cast<std::size_t>(format)];
    const std::size_t steps = std::max<std::size_t>(1, a.columns() / kPrefetchColumns);
    const std::size_t all = rows_of(product, a);
    const std::size_t passes = (all + kRowsPerPass - 1) / kRowsPerPass;
    for (std::size_t i = 0; i < passes; ++i) {
        const std::size_t pass = all * i / passes, rows = all * (i + 1) / passes - pass;
        const std::size_t tiles = (rows + functions.most_rows - 1) / functions.most_rows;
        const std::size_t lines_per_step = matrix.panel_bytes() / 64 / steps;
        const std::size_t lines =
            rows < least_rows_to_prefetch(format) ? 0 : (lines_per_step + tiles - 1) / tiles;
        for (std::size_t panel = begin; panel < end; ++panel) {
            const std::byte* next = matrix.panel(panel) + (tiles > 1 ? matrix.panel_bytes() : kPrefetchAhead);
            for (std::size_t t = 0; t < tiles; ++t) {  // rows shared out evenly: 32 = 4 x 5 + 2 x 6
                const std::size_t m = pass + rows * t / tiles, count = pass + rows * (t + 1) / tiles - m;
                Tile tile = tile_of(a, m, product, panel);
                tile.prefetch = next;
                tile.prefetch_lines = static_cast<unsigned>(lines);
                functions.by_rows[count - 1](tile);
                next += lines * 64 * steps;
            }
        }
    }
}

// Where a share begins.
struct Cursor {
    std::size_t product = 0, panel = 0;
};

// What a panel costs, in bytes read from memory: few rows are done while the next panel comes, many take the
// time of their arithmetic.
std::size_t panel_cost(const Product& product, const Activations& a) {
    constexpr std::size_t rows_in_the_time_of_a_read = 8;
    return product.matrix->panel_bytes() * std::max(rows_in_the_time_of_a_read, rows_of(product, a));
}

// Cuts the panels into chunks that begin large and end with single panels, each a part of what the chunks
// before it left (guided self-scheduling, Polychronopoulos and Kuck, 1987): long streams, few chunks, and
// threads that finish within one panel of each other. Returns where each begins, then the end.
std::vector<Cursor> guided_shares(std::span<const Product> products, const Activations& a,
                                  std::size_t threads) {
    std::size_t left = 0;
    for (const Product& product : products) left += product.matrix->num_panels() * panel_cost(product, a);
    std::vector<Cursor> begins(1);
    for (Cursor at; left > 0;) {
        std::size_t room = threads == 1 ? left : left / (2 * threads);
        bool empty = true;
        while (at.product < products.size()) {
            const std::size_t cost = panel_cost(products[at.product], a);
            const std::size_t there = products[at.product].matrix->num_panels() - at.panel;
            const std::size_t taken = std::min(there, std::max<std::size_t>(room / cost, empty ? 1 : 0));
            if (taken == 0 && there > 0) break;
            empty = false;
            room -= std::min(room, taken * cost);
            left -= taken * cost;
            at.panel += taken;
            if (taken < there) break;
            at = {at.product + 1, 0};
        }
        begins.push_back(at);
    }
    return begins;
}

}  // namespace

bool any_wants_int8(std::span<const Product> products) {
    return std::any_of(products.begin(), products.end(),
                       [](const Product& product) { return product.matrix->wants_int8(); });
}

void multiply(ComputePool& pool, std::span<const Product> products, const Activations& activations,
              KernelPath path) {
    const Kernels& kernels = kernels_of(path);
    std::size_t work = 0;
    for (const Product& product : products) work += product.matrix->bytes() * rows_of(product, activations);
    const bool share = pool.num_threads() > 1 && work >= kWorthSharing;
    const std::vector<Cursor> shares = guided_shares(products, activations, share ? pool.num_threads() : 1);
    pool.run(shares.size() - 1, [&](std::size_t chunk, unsigned) {
        const Cursor end = shares[chunk + 1];
        for (Cursor at = shares[chunk]; at.product <= end.product; at = {at.product + 1, 0}) {
            if (at.product == end.product && at.panel == end.panel) break;
            const Product& product = products[at.product];
            const std::size_t last = at.product == end.product ? end.panel : product.matrix->num_panels();
            multiply_panels(kernels, product, activations, at.panel, last);
        }
    });
}

}  // namespace troupe
