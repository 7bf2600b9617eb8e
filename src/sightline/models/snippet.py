"""Write the code for a model card that asks the model by its Hub name."""


def ask_snippet(repository: str, model: str = "") -> str:
    """A section of Markdown; `model` is the line that loads the model, where it is not the plain one."""
    load = model or f'model = AutoModelForImageTextToText.from_pretrained("{repository}")'
    return f"""## Ask it

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

{load}
processor = AutoProcessor.from_pretrained("{repository}")
content = [{{"type": "image", "path": "picture.png"}}, {{"type": "text", "text": "What is this?"}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
)
output = model.generate(**inputs, max_new_tokens=64)
print(processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

or `sightline ask {repository} picture.png "What is this?"`."""
