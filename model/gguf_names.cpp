#include "model/gguf_names.hpp"

namespace troupe {

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized tensor names", and
// https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py
TensorNames gguf_names(const std::string& architecture) {
    TensorNames names;
    names.embedding = "token_embd.weight";
    names.final_norm = "output_norm.weight";
    names.lm_head = "output.weight";
    names.layer_prefix = "blk.";
    names.attn_norm = "attn_norm";
    names.q = "attn_q";
    names.k = "attn_k";
    names.v = "attn_v";
    names.o = "attn_output";
    names.qkv = "attn_qkv";
    names.q_norm = "attn_q_norm";
    names.k_norm = "attn_k_norm";
    names.sinks = "attn_sinks.weight";
    names.attn_post_norm = "post_attention_norm";
    names.ffn_norm = architecture == "gpt-oss" ? "post_attention_norm" : "ffn_norm";
    names.gate = "ffn_gate";
    names.up = "ffn_up";
    names.down = "ffn_down";
    if (architecture == "phi3") names.gate_up = "ffn_up";
    names.ffn_post_norm = "post_ffw_norm";
    names.router = "ffn_gate_inp";
    names.all_gate = "ffn_gate_exps";
    names.all_up = "ffn_up_exps";
    names.all_down = "ffn_down_exps";
    names.fused_gate_up = "ffn_gate_up_exps.weight";
    names.fused_down = "ffn_down_exps.weight";
    names.expert_gate = "ffn_gate";
    names.expert_up = "ffn_up";
    names.expert_down = "ffn_down";
    names.shared_gate_proj = "ffn_gate_shexp";
    names.shared_up = "ffn_up_shexp";
    names.shared_down = "ffn_down_shexp";
    names.shared_gate = "ffn_gate_inp_shexp";
    return names;
}

}  // namespace troupe
