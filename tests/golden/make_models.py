#!/usr/bin/env python3
"""Makes tests/data/golden: tiny models of every family with random weights, in Hugging Face layout (bf16) and as
GGUF, and what transformers computes for them in float32 (golden.json; golden-QT.json for weights that went through
the quantization QT and back). config-4.json is config.json as transformers 4 would have written it.

    python3 -m venv VENV && VENV/bin/pip install torch transformers==5.24.0 safetensors gguf
    VENV/bin/python tests/golden/make_models.py [NAME...]

The GGUF files are written as llama.cpp's converter names and arranges things: llama, granite and smollm3 with q and k
turned so that rotary pairs lie side by side, gemma's norms with 1 added, experts in stacks.
"""
import json
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent / "data" / "golden"
LENGTHS = (1, 5, 21, 47, 90)
VOCAB, HIDDEN, INNER = 256, 64, 96
BASE = dict(vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0)
THETA = {"rope_type": "default", "rope_theta": 10000.0}
FACTORS = [1.0, 1.1, 1.3, 1.6, 2.0, 2.5]

# name -> (model_type, what differs from BASE, GGUF type or None)
MODELS = {
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}), "F32"),
    "mistral-window": ("mistral", dict(head_dim=32, sliding_window=24, rope_parameters=THETA), None),
    "mixtral-2": ("mixtral", dict(num_local_experts=4, num_experts_per_tok=2, rope_parameters=THETA), "Q8_0"),
    "qwen2-window": ("qwen2", dict(use_sliding_window=True, sliding_window=24, max_window_layers=1,
                                   tie_word_embeddings=True, rope_parameters=THETA), None),
    "qwen2-yarn": ("qwen2", dict(rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}), "BF16"),
    "qwen3-2": ("qwen3", dict(head_dim=32, rope_parameters=THETA), "F16"),
    "qwen2-moe": ("qwen2_moe", dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64,
                                    shared_expert_intermediate_size=96, norm_topk_prob=False,
                                    rope_parameters=THETA), "Q8_0"),
    "qwen3-moe": ("qwen3_moe", dict(num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32, head_dim=32,
                                    norm_topk_prob=True, num_hidden_layers=3, mlp_only_layers=[1],
                                    rope_parameters=THETA), "F16"),
    "gemma2-2": ("gemma2", dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=24, num_hidden_layers=3,
                                attn_logit_softcapping=5.0, final_logit_softcapping=4.0, rope_parameters=THETA), "BF16"),
    "gemma3-2": ("gemma3_text", dict(head_dim=32, query_pre_attn_scalar=32, sliding_window=24, num_hidden_layers=4,
                                     layer_types=["sliding_attention", "sliding_attention", "full_attention",
                                                  "sliding_attention"],
                                     rope_parameters={
                                         "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0},
                                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}), "BF16"),
    "phi3-2": ("phi3", dict(sliding_window=None, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}), "F16"),
    "phi3-long": ("phi3", dict(sliding_window=40, original_max_position_embeddings=64, rope_parameters={
        "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75, "short_factor": FACTORS,
        "long_factor": [4 * f for f in FACTORS]}), "BF16"),
    "gpt-oss-2": ("gpt_oss", dict(head_dim=32, num_local_experts=4, num_experts_per_tok=2, sliding_window=24,
                                  intermediate_size=64, rope_parameters={
                                      "rope_type": "yarn", "rope_theta": 150000.0, "factor": 8.0, "beta_fast": 32.0,
                                      "beta_slow": 1.0, "truncate": False,
                                      "original_max_position_embeddings": 64}), "MXFP4"),
    "olmo2-2": ("olmo2", dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}), "F16"),
    "granite-2": ("granite", dict(attention_multiplier=0.2, embedding_multiplier=3.0, residual_multiplier=0.5,
                                  logits_scaling=2.0, tie_word_embeddings=True, rope_parameters=THETA), "F32"),
    "smollm3-2": ("smollm3", dict(num_hidden_layers=5, no_rope_layers=[1, 1, 1, 0, 1], tie_word_embeddings=True,
                                  rope_parameters={"rope_type": "default", "rope_theta": 2e6}), "F16"),
}
# The weights of another model under another configuration.
VARIANTS = {
    "llama-linear": ("llama-bias", {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
    "llama-yarn": ("llama-bias", {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 16.0,
                                  "original_max_position_embeddings": 128}),
    "llama-dynamic": ("llama-bias", {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
}


def randomize(model):
    """Weights with enough spread that every part of a layer counts."""
    for name, p in model.named_parameters():
        if "norm" in name:
            centre = 0.0 if "gemma" in model.config.model_type else 1.0
            p.data = centre + 0.3 * torch.randn(p.shape)
        elif "sinks" in name:
            p.data = 1.0 + torch.randn(p.shape)
        elif name.endswith("bias") or name.endswith("_bias"):
            p.data = 0.3 * torch.randn(p.shape)
        elif "embed_tokens" in name:
            p.data = torch.randn(p.shape) * (0.1 if model.config.tie_word_embeddings else 1.0)
        else:
            inputs = p.shape[-2] if model.config.model_type == "gpt_oss" and "experts" in name else p.shape[-1]
            gain = 5.0 if model.config.model_type == "gpt_oss" and "gate_up" in name else 2.5 if ("router" in name or name.endswith("gate.weight") or "q_proj" in name or "k_proj" in name) else 1.2
            p.data = torch.randn(p.shape) * gain / inputs ** 0.5
    for name, p in model.named_parameters():
        if model.config.model_type == "gpt_oss" and name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            p.data = mxfp4_pack(p.data.transpose(-1, -2))[2].transpose(-1, -2).contiguous()
        p.data = p.data.to(torch.bfloat16).float()


FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])


def mxfp4_pack(rows):
    """[..., columns] -> codes [..., columns / 32, 32], scales [..., columns / 32], the values that these mean."""
    blocks = rows.float().reshape(*rows.shape[:-1], -1, 32)
    exponent = torch.floor(torch.log2(blocks.abs().amax(-1).clamp(min=1e-12))) - 2
    scaled = blocks / 2.0 ** exponent[..., None]
    codes = (scaled[..., None] - FP4).abs().argmin(-1)
    values = FP4[codes] * 2.0 ** exponent[..., None]
    return codes.to(torch.uint8), (exponent + 127).to(torch.uint8), values.reshape(rows.shape)


def prompts():
    generator = np.random.default_rng(7)
    return [[int(i) for i in generator.integers(3, VOCAB, n)] for n in LENGTHS]


@torch.no_grad()
def answers(model):
    result = []
    for ids in prompts():
        out = model(torch.tensor([ids]), use_cache=True)
        logits = out.logits[0, -1]
        entry = {"ids": ids, "last_logits": [round(float(x), 6) for x in logits], "greedy": [], "greedy_margin": []}
        cache = out.past_key_values if "past_key_values" in out else out.cache
        for step in range(32):
            top = logits.topk(2)
            entry["greedy"].append(int(top.indices[0]))
            entry["greedy_margin"].append(round(float(top.values[0] - top.values[1]), 5))
            # A cache does not survive the step from short to long factors; transformers' generate() drops it, too.
            if model.config.model_type == "phi3":
                logits = model(torch.tensor([ids + entry["greedy"]])).logits[0, -1]
                continue
            position = len(ids) + step
            logits = model(torch.tensor([[entry["greedy"][-1]]]), past_key_values=cache, use_cache=True,
                           position_ids=torch.tensor([[position]])).logits[0, -1]
        result.append(entry)
    return {"transformers": transformers.__version__, "dtype": "float32", "prompts": result}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=None if "prompts" in value else 2, separators=(",", ": ")) + "\n")


def old_style(config):
    """config.json as transformers 4 wrote it."""
    config = dict(config, transformers_version="4.46.0")
    config["torch_dtype"] = config.pop("dtype", "bfloat16")
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:  # gemma3
        config["rope_theta"] = rope["full_attention"]["rope_theta"]
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        full = {k: v for k, v in rope["full_attention"].items() if k != "rope_theta"}
        config["rope_scaling"] = None if full["rope_type"] == "default" else full
        config["hidden_act"] = config["hidden_activation"]
        return config
    rope = dict(rope)
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    if config["model_type"] in ("gemma2", "gemma3_text", "smollm3") and config.get("tie_word_embeddings"):
        del config["tie_word_embeddings"]  # transformers 4's default
    if config["model_type"] == "gemma2":
        del config["layer_types"]
    return config


def save(name, model):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    # Read again, since the cast has rounded the rotary frequencies, too.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for extra in ("generation_config.json",):
        (folder / extra).unlink(missing_ok=True)
    saved = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", saved)
    write_json(folder / "config-4.json", old_style(saved))
    write_json(folder / "golden.json", answers(model))
    return saved


def save_mxfp4(source, name):
    """The same gpt-oss with its experts in MXFP4, as OpenAI published it."""
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tensors = load_file(ROOT / source / "model.safetensors")
    for key in [k for k in tensors if k.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        codes, scales, _ = mxfp4_pack(tensors.pop(key).float().transpose(-1, -2).contiguous())
        tensors[key + "_blocks"] = (codes[..., 0::2] | codes[..., 1::2] << 4).contiguous()
        tensors[key + "_scales"] = scales.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((ROOT / source / "config-4.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    write_json(folder / "config.json", config)
    shutil.copy(ROOT / source / "golden.json", folder / "golden.json")


# --- GGUF ---

ARCHITECTURE = {"llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
                "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gemma2": "gemma2", "gemma3_text": "gemma3",
                "phi3": "phi3", "gpt_oss": "gpt-oss", "olmo2": "olmo2", "granite": "granite", "smollm3": "smollm3"}
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "self_attn.sinks": "attn_sinks.weight",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up", "block_sparse_moe.gate": "ffn_gate_inp",
    "mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp", "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp", "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp"}
POST_NORMS = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
              "post_feedforward_layernorm": "post_ffw_norm"}


def turn_pairs(t, heads):
    return t.reshape(heads, 2, t.shape[0] // heads // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)


def gguf_tensors(tensors, config):
    kind = config["model_type"]
    names = dict(LAYER_NAMES)
    if kind in ("gemma2", "gemma3_text", "olmo2"):
        names.update(POST_NORMS)
    if kind == "gpt_oss":
        names["post_attention_layernorm"] = "post_attention_norm"
    out, stacks = {}, {}
    for name, t in tensors.items():
        t = t.float().numpy()
        if "norm" in name and kind.startswith("gemma"):
            t = t + 1.0
        if name == "model.embed_tokens.weight":
            out["token_embd.weight"] = t
        elif name == "model.norm.weight":
            out["output_norm.weight"] = t
        elif name == "lm_head.weight":
            out["output.weight"] = t
        else:
            _, _, layer, rest = name.split(".", 3)
            blk = f"blk.{layer}."
            if ".experts." in rest and kind == "gpt_oss":
                bias = rest.endswith("_bias")
                t = t if bias else t.swapaxes(-1, -2)
                suffix = "_exps.bias" if bias else "_exps.weight"
                if "gate_up" in rest:
                    out[blk + "ffn_gate" + suffix] = t[:, 0::2]
                    out[blk + "ffn_up" + suffix] = t[:, 1::2]
                else:
                    out[blk + "ffn_down" + suffix] = t
            elif ".experts." in rest:
                index, which = rest.split(".experts.")[1].split(".")[:2]
                which = {"w1": "gate", "w3": "up", "w2": "down"}.get(which, which.removesuffix("_proj"))
                stacks.setdefault(f"{blk}ffn_{which}_exps.weight", {})[int(index)] = t
            else:
                base, suffix = (rest, "") if rest.endswith("sinks") else rest.rsplit(".", 1)
                if kind in ("llama", "mistral", "mixtral", "granite", "smollm3"):
                    if base == "self_attn.q_proj":
                        t = turn_pairs(t, config["num_attention_heads"])
                    if base == "self_attn.k_proj":
                        t = turn_pairs(t, config["num_key_value_heads"])
                if base == "mlp.shared_expert_gate":
                    t = t.reshape(-1)
                out[blk + names[base] + ("." + suffix if suffix else "")] = t
    for name, parts in stacks.items():
        out[name] = np.stack([parts[i] for i in range(len(parts))])
    return out


def gguf_metadata(writer, arch, config):
    def u32(key, value):
        writer.add_uint32(f"{arch}.{key}", int(value))

    def f32(key, value):
        writer.add_float32(f"{arch}.{key}", float(value))
    kind = config["model_type"]
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    u32("block_count", config["num_hidden_layers"])
    u32("context_length", config["max_position_embeddings"])
    u32("embedding_length", config["hidden_size"])
    u32("feed_forward_length", config["intermediate_size"])
    u32("attention.head_count", config["num_attention_heads"])
    u32("attention.head_count_kv", config["num_key_value_heads"])
    u32("attention.key_length", head_dim)
    u32("attention.value_length", head_dim)
    u32("rope.dimension_count", int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    f32("rope.freq_base", rope["rope_theta"])
    f32("attention.layer_norm_rms_epsilon", config["rms_norm_eps"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_string(f"{arch}.rope.scaling.type", rope["rope_type"])
        f32("rope.scaling.factor", rope["factor"])
    if "original_max_position_embeddings" in rope and rope["rope_type"] in ("yarn", "longrope"):
        u32("rope.scaling.original_context_length", rope["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        scale = config["max_position_embeddings"] / rope["original_max_position_embeddings"]
        f32("rope.scaling.attn_factor", np.sqrt(1 + np.log(scale) / np.log(rope["original_max_position_embeddings"])))
    if config.get("sliding_window") and kind not in ("qwen2_moe", "qwen3_moe"):
        u32("attention.sliding_window", config["sliding_window"])
    if kind == "gemma3_text":
        writer.add_array(f"{arch}.attention.sliding_window_pattern",
                         [t == "sliding_attention" for t in config["layer_types"]])
    if kind == "gemma2":
        f32("attn_logit_softcapping", config["attn_logit_softcapping"])
        f32("final_logit_softcapping", config["final_logit_softcapping"])
    if kind == "granite":
        f32("attention.scale", config["attention_multiplier"])
        f32("embedding_scale", config["embedding_multiplier"])
        f32("residual_scale", config["residual_multiplier"])
        f32("logit_scale", config["logits_scaling"])
    experts = config.get("num_local_experts") or config.get("num_experts")
    if experts:
        u32("expert_count", experts)
        u32("expert_used_count", config["num_experts_per_tok"])
        if "moe_intermediate_size" in config:
            u32("expert_feed_forward_length", config["moe_intermediate_size"])
        if kind == "gpt_oss":
            u32("expert_feed_forward_length", config["intermediate_size"])
        if "shared_expert_intermediate_size" in config:
            u32("expert_shared_feed_forward_length", config["shared_expert_intermediate_size"])
    writer.add_uint32("tokenizer.ggml.eos_token_id", 2)


def llama3_divisors(config):
    """rope_freqs.weight: what llama3's scaling divides each frequency by."""
    rope = config["rope_parameters"]
    dim = config["hidden_size"] // config["num_attention_heads"]
    frequencies = rope["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
    blended = 1 / ((1 - smooth) / rope["factor"] + smooth)
    return np.where(turns < rope["low_freq_factor"], rope["factor"],
                    np.where(turns > rope["high_freq_factor"], 1.0, blended)).astype(np.float32)


def quantized(name, t, kind):
    """(bytes or array, GGUF type, the values that they mean)."""
    quant = gguf.GGMLQuantizationType[kind]
    plain = t.ndim == 1 or "norm" in name or "ffn_gate_inp" in name or name.endswith(".bias") or kind == "F32"
    if kind == "MXFP4" and not plain:
        if "_exps" not in name:
            quant = gguf.GGMLQuantizationType.BF16
        else:
            codes, scales, values = mxfp4_pack(torch.tensor(t))
            packed = torch.cat([scales[..., None], codes[..., :16] | codes[..., 16:] << 4], -1).contiguous()
            return packed.reshape(*t.shape[:-1], -1).numpy(), quant, values.numpy()
    if plain:
        return t.astype(np.float32), None, t.astype(np.float32)
    data = gguf.quants.quantize(t.astype(np.float32), quant)
    return data, quant, gguf.quants.dequantize(data, quant)


def save_gguf(name, config, kind):
    """Returns the values of the tensors as the file holds them."""
    arch = ARCHITECTURE[config["model_type"]]
    writer = gguf.GGUFWriter(ROOT / name / f"{name}-{kind}.gguf", arch)
    gguf_metadata(writer, arch, config)
    held = {}
    for key, t in gguf_tensors(load_file(ROOT / name / "model.safetensors"), config).items():
        data, quant, held[key] = quantized(key, np.ascontiguousarray(t), kind)
        writer.add_tensor(key, data, raw_dtype=quant)
    rope = config["rope_parameters"]
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(config))
    if rope.get("rope_type") == "longrope":
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def golden_of_quantized(name, model, config, held, kind):
    """What the model computes with the weights that the file holds."""
    original = load_file(ROOT / name / "model.safetensors")
    changed = dict(original)
    for key, t in original.items():
        # Where a tensor went, by sending one of row numbers the same way.
        if t.ndim < 2 or "norm" in key:
            continue
        one = gguf_tensors({k: (v if ".experts." in k else torch.zeros_like(v)) if k != key else v
                            for k, v in original.items()
                            if k == key or (".experts." in key and ".experts." in k)}, config)
        for target, value in one.items():
            got = held[target]
            if ".experts." in key:
                index = int(key.split(".experts.")[1].split(".")[0])
                which = key.split(".experts.")[1].split(".")[1]
                which = {"w1": "gate", "w3": "up", "w2": "down"}.get(which, which.removesuffix("_proj"))
                layer = key.split(".")[2]
                if target == f"blk.{layer}.ffn_{which}_exps.weight":
                    changed[key] = torch.tensor(got[index])
            elif got.shape != tuple(t.shape):
                changed[key] = torch.tensor(got).reshape(t.shape)
            elif key.endswith(("q_proj.weight", "k_proj.weight")) and config["model_type"] in (
                    "llama", "mistral", "mixtral", "granite", "smollm3"):
                heads = config["num_attention_heads" if "q_proj" in key else "num_key_value_heads"]
                back = np.argsort(turn_pairs(np.arange(t.shape[0]), heads))
                changed[key] = torch.tensor(got[back])
            else:
                changed[key] = torch.tensor(got)
    folder = ROOT / name / "quantized"
    folder.mkdir()
    save_file({k: v.float().contiguous() for k, v in changed.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    shutil.copy(ROOT / name / "config.json", folder)
    other = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    shutil.rmtree(folder)
    write_json(ROOT / name / f"golden-{kind}.json", answers(other))


def make(name, seed):
    kind, changes, quant = MODELS[name]
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**BASE, **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    randomize(model)
    saved = save(name, model)
    if quant:
        held = save_gguf(name, saved, quant)
        if quant == "Q8_0":
            golden_of_quantized(name, model, saved, held, quant)
    if kind == "gpt_oss":
        save_mxfp4(name, name + "-mxfp4")
    for variant, (base, rope) in VARIANTS.items():
        if base != name:
            continue
        changed = dict(saved, rope_parameters=rope)
        if variant == "llama-dynamic":
            changed["max_position_embeddings"] = 64
        folder = ROOT / variant
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "model.safetensors").symlink_to(f"../{base}/model.safetensors")
        write_json(folder / "config.json", changed)
        write_json(folder / "config-4.json", old_style(changed))
        other = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        write_json(folder / "golden.json", answers(other))
    print(name, "done")


if __name__ == "__main__":
    for number, each in enumerate(MODELS):
        if len(sys.argv) == 1 or each in sys.argv[1:]:
            make(each, number + 1)
