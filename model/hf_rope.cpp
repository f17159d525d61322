#include "model/hf_rope.hpp"

#include <cmath>

#include "model/formats/printable.hpp"

namespace troupe {
namespace {

// One dictionary of parameters. Formulas as in transformers' modeling_rope_utils.py.
class RopeReader {
  public:
    RopeReader(JsonReader& config, JsonReader& fields, const ModelSpec& spec, RopeSpec& rope)
        : config_(config), fields_(fields), spec_(spec), rope_(rope) {}

    void read() {
        read_type();
        fields_.read("rope_theta", rope_.theta);
        rope_.original_max_position = spec_.architecture == "phi3" ? 4096 : spec_.max_position;
        fields_.read("original_max_position_embeddings", rope_.original_max_position);
        if (rope_.type != RopeType::dynamic)
            config_.read("original_max_position_embeddings", rope_.original_max_position);
        else
            rope_.original_max_position = spec_.max_position;
        if (fields_.find("mrope_section")) fields_.fail("\"mrope_section\" is not supported.");
        read_factor();
        if (rope_.type == RopeType::standard || rope_.type == RopeType::linear)
            rope_.original_max_position = 0;  // nothing depends on it
        fields_.read("low_freq_factor", rope_.low_freq_factor);
        fields_.read("high_freq_factor", rope_.high_freq_factor);
        if (rope_.type == RopeType::yarn) read_yarn();
        if (rope_.type == RopeType::longrope) read_longrope();
        double rotated = 1.0;
        config_.read("partial_rotary_factor", rotated);
        fields_.read("partial_rotary_factor", rotated);
        if (!(rotated > 0.0 && rotated <= 1.0))
            return fields_.fail("\"partial_rotary_factor\" must be above 0 and at most 1.");
        if (rotated != 1.0) rope_.rotated = static_cast<std::uint32_t>(spec_.head_dim * rotated);
    }

  private:
    void read_type() {
        std::string type = "default";
        fields_.read("type", type);
        fields_.read("rope_type", type);
        // Phi-3's first files call longrope "su" or "yarn".
        if (type == "su" || (spec_.architecture == "phi3" && type == "yarn")) type = "longrope";
        struct Known {
            const char* name;
            RopeType type;
        };
        for (const Known& known : {Known{"default", RopeType::standard},
                                   {"linear", RopeType::linear},
                                   {"dynamic", RopeType::dynamic},
                                   {"llama3", RopeType::llama3},
                                   {"yarn", RopeType::yarn},
                                   {"longrope", RopeType::longrope}}) {
            if (type != known.name) continue;
            rope_.type = known.type;
            return;
        }
        fields_.fail(
            "rope type \"" + printable(type) +
            "\" is not known; known are \"default\", \"linear\", \"dynamic\", \"llama3\", \"yarn\" and "
            "\"longrope\".");
    }

    void read_factor() {
        if (rope_.type == RopeType::standard) return;
        fields_.read("factor", rope_.factor);
        if (fields_.find("factor")) return;
        if (rope_.type != RopeType::yarn && rope_.type != RopeType::longrope)
            return fields_.fail("the rope scaling has no \"factor\".");
        if (rope_.original_max_position != 0)
            rope_.factor = static_cast<double>(spec_.max_position) / rope_.original_max_position;
    }

    void read_yarn() {
        fields_.read("beta_fast", rope_.beta_fast);
        fields_.read("beta_slow", rope_.beta_slow);
        fields_.read("truncate", rope_.truncate);
        double mscale = 0.0;
        double mscale_all_dim = 0.0;
        fields_.read("mscale", mscale);
        fields_.read("mscale_all_dim", mscale_all_dim);
        const auto scale = [&](double by) {
            return rope_.factor <= 1.0 ? 1.0 : 0.1 * by * std::log(rope_.factor) + 1.0;
        };
        rope_.attention_factor =
            mscale != 0.0 && mscale_all_dim != 0.0 ? scale(mscale) / scale(mscale_all_dim) : scale(1.0);
        fields_.read("attention_factor", rope_.attention_factor);
    }

    void read_longrope() {
        fields_.read("short_factor", rope_.divisors);
        fields_.read("long_factor", rope_.long_divisors);
        if (rope_.factor > 1.0 && rope_.original_max_position > 1) {
            rope_.attention_factor =
                std::sqrt(1.0 + std::log(rope_.factor) / std::log(rope_.original_max_position));
        }
        fields_.read("attention_factor", rope_.attention_factor);
    }

    JsonReader& config_;
    JsonReader& fields_;
    const ModelSpec& spec_;
    RopeSpec& rope_;
};

void read_one(JsonReader& config, simdjson::dom::object object, const std::string& name,
              const ModelSpec& spec, RopeSpec& rope) {
    JsonReader fields(object, config.where() + ": " + name);
    RopeReader(config, fields, spec, rope).read();
    config.fail(fields.status());
}

}  // namespace

void read_hf_ropes(JsonReader& config, ModelSpec& spec) {
    config.read("rope_theta", spec.ropes[0].theta);
    if (spec.ropes.size() > 1) config.read("rope_local_base_freq", spec.ropes[1].theta);
    bool any = false;
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
        const auto object = config.object(name);
        if (!object) continue;
        any = true;
        JsonReader parts(*object, config.where() + ": " + name);
        const auto full = parts.object("full_attention");
        const auto sliding = parts.object("sliding_attention");
        config.fail(parts.status());
        if (!full && !sliding) {
            read_one(config, *object, name, spec, spec.ropes[0]);
            continue;
        }
        spec.ropes.resize(2, spec.ropes[0]);
        const std::string where(name);
        if (full) read_one(config, *full, where + ".full_attention", spec, spec.ropes[0]);
        if (sliding) read_one(config, *sliding, where + ".sliding_attention", spec, spec.ropes[1]);
    }
    if (any) return;
    simdjson::dom::parser parser;  // no dictionary, but the configuration itself may say how much is rotated
    const simdjson::padded_string nothing(std::string_view("{}"));
    for (RopeSpec& rope : spec.ropes) {
        const RopeSpec defaults = rope;
        if (defaults.type != RopeType::standard) continue;
        read_one(config, parser.parse(nothing).get_object().value(), "rope_parameters", spec, rope);
    }
}

}  // namespace troupe
