#!/usr/bin/env bash
# Evidence and answers on a CUDA machine, beside plain baselines: benchmarks/evidence_cuda.sh OUT FOLDER…
#
# FOLDERs hold labelled questions, as for `memorag eval`. First all systems with answers, then evidence by bge-m3 with its
# three outputs where it can be had, then faiss on CPU and GPU. A run that was stopped goes on with the same command.
# Environment: GENERATOR, EMBEDDER, RETRIEVER, LIMIT (questions of each set), COUNT (vectors), DEVICE, PYTHON.
set -euo pipefail
out=$1
shift
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
limit=()
[ -n "${LIMIT:-}" ] && limit=(--limit "$LIMIT")
measure() { # NAME OPTION…
  "$python" -m memorag_mcp.cli eval "${folders[@]}" --profile tiny --device "$device" "${limit[@]}" --out "$out/records" \
    --store "$out/contexts" --json "$out/$1.json" --markdown "$out/$1.md" "${@:2}"
}
mkdir -p "$out"
folders=("$@")
measure answers --generator "${GENERATOR:-Qwen/Qwen2.5-0.5B-Instruct}"
measure evidence --retrieval-only
measure embedder --retrieval-only --embedder "${EMBEDDER:-BAAI/bge-m3}" --retriever "${RETRIEVER:-bge-m3}" ||
  echo "evidence_cuda: not measured with another embedder; why stands above" >&2
for each in cpu $([ "$device" = cpu ] || echo "$device"); do
  "$python" -m benchmarks.faiss_index --count "${COUNT:-1000000}" --device "$each" | tee "$out/faiss-$each.txt"
done
