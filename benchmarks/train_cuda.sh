#!/usr/bin/env bash
# Train, tune and measure a memory on a CUDA machine, from nothing but this repository and folders of text:
#
#   benchmarks/train_cuda.sh TEXT HELD_OUT OUT [LABELLED…]
#
# TEXT is trained on, HELD_OUT is measured on, OUT keeps everything; LABELLED are folders of labelled questions, whose
# calibration halves tune the memory and whose held-out halves measure the evidence that its clues find. A run that was
# stopped goes on with the same command. Environment: MODEL, STEPS, RATE, TUNE, BATCH, AT_ONCE, WINDOW, WINDOWS, RATIOS,
# GENERATOR, CONTEXTS (of plain text that the generator asks questions of), SAMPLES, LENGTHS (of texts with needles),
# DEVICE, PYTHON, and PROCESSES (GPUs).
set -euo pipefail
text=$1 held=$2 out=$3
shift 3
python=${PYTHON:-python3}
model=${MODEL:-smollm2-135m-instruct}
window=${WINDOW:-1024}
ratios=${RATIOS:-2,4,8,16,32}
shape=(--window "$window" --ratios "$ratios" --batch "${BATCH:-64}" --at-once "${AT_ONCE:-16}")
launch=("$python" -m)
[ "${PROCESSES:-1}" -gt 1 ] && launch=("$python" -m accelerate.commands.launch --num_processes "$PROCESSES" -m)
memorag=("$python" -m memorag_mcp.cli)
common=(--profile tiny --device "${DEVICE:-cuda}" --max-characters 4000000000)
questions=()
for folder in "$@"; do questions+=(--questions "$folder"); done

measure() { # NAME MODEL
  "${memorag[@]}" train evaluate "$held" --memory-model "$2" "${common[@]}" --samples "${SAMPLES:-256}" --limit 50 \
    --ratios "$ratios" --lengths "${LENGTHS:-1024,4096}" ${questions[@]+"${questions[@]}"} \
    --json "$out/$1.json" --plot "$out/$1.svg" | tee "$out/$1.txt"
}

recall() { # NAME MODEL
  [ "${#questions[@]}" -eq 0 ] && return
  "${memorag[@]}" eval "${folders[@]}" --retrieval-only --split held-out --systems question,memorag \
    --memory-model "$2" "${common[@]}" --out "$out/eval-$1" --json "$out/evidence-$1.json"
}

mkdir -p "$out"
folders=("$@")
"${memorag[@]}" train pretrain "$text" --memory-model "$model" "${common[@]}" --out "$out/untrained" --steps 0 \
  --beacons-only "${shape[@]}"
measure untrained "$out/untrained/checkpoint"
recall untrained "$out/untrained/checkpoint"

"${launch[@]}" memorag_mcp.cli train pretrain "$text" --memory-model "$model" "${common[@]}" --out "$out/pretrained" \
  --steps "${STEPS:-2000}" --windows "${WINDOWS:-4}" --rate "${RATE:-2e-4}" --beacons-only --plot "$out/losses.svg" \
  "${shape[@]}"
"$python" -m benchmarks.matrix_rate "$out/pretrained"
measure pretrained "$out/pretrained/checkpoint"
recall pretrained "$out/pretrained/checkpoint"

"${memorag[@]}" data clues "$text" --from-text --generator "${GENERATOR:-$model}" "${common[@]}" \
  --characters $((window * 12)) --contexts "${CONTEXTS:-2000}" --out "$out/clues.jsonl"
if [ "$#" -gt 0 ]; then
  "${memorag[@]}" data clues "$@" "${common[@]}" --characters $((window * 12)) --out "$out/labelled.jsonl"
  cat "$out/labelled.jsonl" >>"$out/clues.jsonl"
fi
"${launch[@]}" memorag_mcp.cli train finetune "$out/clues.jsonl" --memory-model "$out/pretrained/checkpoint" \
  "${common[@]}" --out "$out/tuned" --steps "${TUNE:-300}" --windows 8 --rate 5e-5 --beacons-only "${shape[@]}"
measure tuned "$out/tuned/checkpoint"
recall tuned "$out/tuned/checkpoint"
