#!/usr/bin/env bash
# A memory for SmolLM2-135M on a CPU, from Debian's documentation: benchmarks/train_cpu.sh OUT
#
# Trained on the Debian Administrator's Handbook and the Debian FAQ, measured on the Developer's Reference. Needs apt-get
# and dpkg-deb (nothing is installed), and about 35 minutes on one quiet core. A run that was stopped goes on with the
# same command. Environment: STEPS, RATE, PYTHON.
set -euo pipefail
out=$1
memorag=("${PYTHON:-python3}" -m memorag_mcp.cli)
common=(--profile tiny --device cpu)
texts=$out/texts
if [ ! -d "$texts" ]; then
  mkdir -p "$out/packages" "$out/.texts/train" "$out/.texts/held-out"
  (cd "$out/packages" && apt-get download debian-handbook debian-faq developers-reference)
  for package in "$out"/packages/*.deb; do dpkg-deb -x "$package" "$out/packages"; done
  share=$out/packages/usr/share
  cp "$share"/doc/debian-handbook/html/en-US/*.html "$out/.texts/train"
  zcat "$share"/doc/debian/FAQ/debian-faq.en.txt.gz >"$out/.texts/train/faq.txt"
  zcat "$share"/developers-reference/developers-reference.txt.gz >"$out/.texts/held-out/reference.txt"
  mv "$out/.texts" "$texts"
fi
measure() { # NAME
  "${memorag[@]}" train evaluate "$texts/held-out" --memory-model "$out/$1/checkpoint" "${common[@]}" --samples 48 \
    --windows 3 --ratios 4,8 --lengths 256 --json "$out/$1.json" --plot "$out/$1.svg" | tee "$out/$1.txt"
}
pretrain() { # NAME STEPS
  "${memorag[@]}" train pretrain "$texts/train" --memory-model smollm2-135m-instruct "${common[@]}" --out "$out/$1" \
    --steps "$2" --batch 1 --windows 4 --window 128 --ratios 4,8 --rate "${RATE:-1e-3}" --save-every 10 --beacons-only
}
pretrain untrained 0
measure untrained
pretrain trained "${STEPS:-300}"
measure trained
