// Two read-mostly hash tables with open addressing, for the lookups that tokenizing consists of.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

inline std::uint64_t mix_hash(std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15U) * (b ^ 0xD6E8FEB86659FD93U);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_bytes(std::string_view bytes) {
    std::uint64_t hash = bytes.size();
    while (bytes.size() > 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        hash = mix_hash(hash, word);
        bytes.remove_prefix(8);
    }
    std::uint64_t last = 0;
    std::memcpy(&last, bytes.data(), bytes.size());
    return mix_hash(hash, last);
}

// Slots of a power of two, at most half of them used.
inline std::size_t hash_slots(std::size_t entries) {
    std::size_t slots = 16;
    while (slots < 2 * entries) slots *= 2;
    return slots;
}

// Spelling -> token. The keys' bytes must outlive the table.
class SpellingTable {
  public:
    explicit SpellingTable(std::size_t entries) : slots_(hash_slots(entries)) {}

    // At most as many as were announced. A key that is there keeps its token.
    void insert(std::string_view key, TokenId token) {
        Slot& slot = slots_[find_slot(key, hash_bytes(key))];
        if (slot.token < 0)
            slot = {key.data(), static_cast<std::uint32_t>(key.size()), short_hash(hash_bytes(key)), token};
    }

    TokenId find(std::string_view key) const {
        return slots_[find_slot(key, hash_bytes(key))].token;
    }  // -1: absent

  private:
    struct Slot {
        const char* data = nullptr;
        std::uint32_t size = 0;
        std::uint32_t hash = 0;
        TokenId token = -1;
    };

    static std::uint32_t short_hash(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

    std::size_t find_slot(std::string_view key, std::uint64_t hash) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t i = hash & mask;
        while (slots_[i].token >= 0 && (slots_[i].hash != short_hash(hash) ||
                                        std::string_view(slots_[i].data, slots_[i].size) != key)) {
            i = (i + 1) & mask;
        }
        return i;
    }

    std::vector<Slot> slots_;
};

struct Merge {
    std::uint32_t rank = 0;  // the lowest is merged first
    TokenId token = -1;      // what the pair becomes; -1: the pair does not merge
};

// Pair of numbers -> merge. The pair is two tokens, or a node of a trie and the byte that leads on.
class PairTable {
  public:
    explicit PairTable(std::size_t entries) : slots_(hash_slots(entries)) {}

    // At most as many as were announced. A later merge of the same pair replaces the former.
    void insert(TokenId left, TokenId right, Merge merge) {
        slots_[find_slot(key_of(left, right))] = {key_of(left, right), merge};
    }

    Merge find(TokenId left, TokenId right) const { return slots_[find_slot(key_of(left, right))].merge; }

  private:
    struct Slot {
        std::uint64_t key = 0;
        Merge merge;
    };

    static std::uint64_t key_of(TokenId left, TokenId right) {
        return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
               static_cast<std::uint32_t>(right);
    }

    std::size_t find_slot(std::uint64_t key) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t i = mix_hash(key, key >> 32) & mask;
        while (slots_[i].merge.token >= 0 && slots_[i].key != key) i = (i + 1) & mask;
        return i;
    }

    std::vector<Slot> slots_;
};

}  // namespace troupe
