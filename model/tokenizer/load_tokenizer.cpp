#include <cstring>

#include "model/formats/mapped_file.hpp"
#include "model/formats/printable.hpp"
#include "model/tokenizer/loaders.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe {

namespace {

Result<std::shared_ptr<const Tokenizer>> finish(const std::filesystem::path& path,
                                                Result<TokenizerParts> parts) {
    if (!parts) {
        Error error = std::move(parts).error();
        error.message = path.string() + ": " + error.message;
        return error;
    }
    return std::shared_ptr<const Tokenizer>(std::make_shared<Tokenizer>(std::move(*parts)));
}

bool is_gguf(const MappedFile& file) {
    return file.size() >= 4 && std::memcmp(file.bytes().data(), "GGUF", 4) == 0;
}

}  // namespace

SpellingTable index_by_text(const std::vector<VocabularyToken>& vocabulary) {
    SpellingTable ids(vocabulary.size());
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
        if (!vocabulary[i].text.empty()) ids.insert(vocabulary[i].text, static_cast<TokenId>(i));
    }
    return ids;
}

Status add_merge(const SpellingTable& ids, std::string_view left, std::string_view right, BpeModel& model) {
    const auto rank = static_cast<std::uint32_t>(model.merges.size());
    std::string result(left);
    if (right.size() >= model.continuing_prefix.size())
        result += right.substr(model.continuing_prefix.size());
    const BpeMerge merge{ids.find(left), ids.find(right), ids.find(result), rank};
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
        return invalid_argument("Merge " + std::to_string(rank) + " ('" + printable(left) + "' and '" +
                                printable(right) + "') uses or makes a token that is not in the vocabulary.");
    }
    model.merges.push_back(merge);
    return {};
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const GgufFile& file) {
    return finish(file.path(), tokenizer_from_gguf(file));
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::filesystem::path& path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) return load_tokenizer(path / "tokenizer.json");
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    if (is_gguf(**file)) {
        const auto gguf = GgufFile::open(path);
        if (!gguf) return gguf.error();
        return load_tokenizer(*gguf);
    }
    return finish(path, tokenizer_from_json(path, path.parent_path() / "tokenizer_config.json"));
}

}  // namespace troupe
