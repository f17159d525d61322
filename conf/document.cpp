#include "conf/document.hpp"

#include "conf/schema.hpp"

namespace troupe {
namespace {

constexpr const char* introduction = R"(# Configuration

This file is generated from `conf/schema.cpp`; after a change there, run `TROUPE_UPDATE_DOCS=1 build/release/test_conf`.

An option can be given in three ways. The first that has a value wins:

1. a flag: `troupe serve --max-num-seqs 32`
2. an environment variable: `TROUPE_MAX_NUM_SEQS=32` (an empty one counts as unset; an empty API key is refused)
3. a TOML file, named by `--config FILE` or `TROUPE_CONFIG`:

```toml
[engine]
max_num_seqs = 32
kv_memory = "512MiB"

[server]
port = 8080
resume_grace = "1m"
```

Sizes are numbers of bytes or carry a unit: `KB`, `MB`, `GB` are powers of 1000, `KiB`, `MiB`, `GiB` (or `K`, `M`,
`G`) of 1024. Times are seconds or carry `ms`, `s`, `m` or `h`. Unknown keys, values of the wrong type and values out
of range are errors that name the flag, the variable, or the file and line.

Models of the Hugging Face hub follow the variables of its own programs, which have no flags: `HF_TOKEN` for models that
need an account, `HF_ENDPOINT` for a mirror, `HF_HUB_OFFLINE=1` to use only what the cache holds, and `HF_HUB_CACHE`
or `HF_HOME` for where that cache is (otherwise `~/.cache/huggingface/hub`).

In Kubernetes, a service named `troupe` makes variables such as `TROUPE_PORT` appear in every pod: give the service
another name or set `enableServiceLinks: false`.
)";

}  // namespace

std::string configuration_document() {
    std::string text = introduction;
    for (const Section& section : sections()) {
        text += "\n## " + section.title + "\n";
        for (const Option& option : options()) {
            if (option.section != section.name) continue;
            text += "\n### `" + option.flag + " " + option.metavar + "`\n\n" + option.help + "\n\n";
            text += "- Default: " + (option.default_value.empty() ? "none" : option.default_value) + "\n";
            if (!option.allowed.empty()) text += "- Allowed: " + option.allowed + "\n";
            text += "- File: `" + option.key + "` in `[" + option.section + "]`\n";
            text += "- Environment: `" + option.environment_variable() + "`\n";
        }
    }
    return text;
}

}  // namespace troupe
