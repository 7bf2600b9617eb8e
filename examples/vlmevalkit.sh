#!/bin/sh
# Let VLMEvalKit ask a model behind an OpenAI-compatible endpoint, and score its result file with intervals.
#
#   ENDPOINT=http://127.0.0.1:8000/v1 MODEL=my-model KIT=~/VLMEvalKit sh examples/vlmevalkit.sh
#
# The endpoint is vLLM, SGLang or any other server; KIT is a checkout of VLMEvalKit in an environment of its own
# (PYTHON, by default python), which may hold other versions than Sightline's.
set -eu
: "${ENDPOINT:?}" "${MODEL:?}" "${KIT:?}"
OUT=${OUT:-$PWD/outputs}
LMUData=${LMUData:-$HOME/LMUData}
export LMUData
mkdir -p "$OUT"

# img_size -1 sends pictures as they are: the default makes them 512 pixels wide at most, and JPEG.
# A key must start with sk-, whether the server reads it or not.
cat > "$OUT/config.json" <<END
{
  "model": {
    "mine": {
      "class": "GPT4V", "model": "$MODEL", "api_base": "$ENDPOINT/chat/completions", "key": "${OPENAI_API_KEY:-sk-none}",
      "temperature": 0, "max_tokens": 64, "img_size": -1, "img_detail": "high", "retry": 5
    }
  },
  "data": {"MMBench_DEV_EN": {"class": "ImageMCQDataset", "dataset": "MMBench_DEV_EN"}}
}
END
(cd "$KIT" && "${PYTHON:-python}" run.py --config "$OUT/config.json" --mode infer --work-dir "$OUT")

# The newest answers, by VLMEvalKit's rules and by ours; no judge, so what no rule reads is unparsed and counted.
SAID=$(ls -t "$OUT"/mine/T*/mine_MMBench_DEV_EN.xlsx | head -n 1)
ROWS=$(find "$LMUData" -name MMBench_DEV_EN.tsv | head -n 1)
sightline eval --tasks mmbench_dev_en --data "$ROWS" --predictions "$SAID" --model "$MODEL" --profile vlmevalkit --output_dir "$OUT/theirs"
sightline score "$OUT/theirs" --profile strict --output_dir "$OUT/strict"
