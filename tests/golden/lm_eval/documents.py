"""Documents made up for tasks of lm-evaluation-harness: the features that each task reads, with white space, braces and other traps."""

from __future__ import annotations

from typing import Any

Rows = list[dict[str, Any]]
ODD = " Léa's 50 % {{ braces }} — “quoted” <tag>"


def science(*questions: tuple[str, list[str], str]) -> Rows:
    """Rows of ARC: choices with their labels."""
    return [
        {"question": question, "choices": {"text": texts, "label": ["A", "B", "C", "D"][: len(texts)]}, "answerKey": key}
        for question, texts, key in questions
    ]


def pairs(first: str, second: str) -> dict[str, Rows]:
    """Two texts and a class id, as in GLUE."""
    texts = [("The cat sleeps.", "A cat is asleep ."), ("It rains", f"It{ODD}"), ("Two  spaces", "One\nline break"), ("Élan", "No élan")]
    rows: Rows = [{first: a, second: b, "label": at % 2, "idx": at} for at, (a, b) in enumerate(texts)]
    return {"train": rows[:2], "validation": rows[2:]}


def single(field: str) -> dict[str, Rows]:
    """One text and a class id."""
    texts = ["a lively film ", "dull , flat .", f"it has{ODD}", "fine\tindeed"]
    rows: Rows = [{field: text, "label": at % 2, "idx": at} for at, text in enumerate(texts)]
    return {"train": rows[:2], "validation": rows[2:]}


SCIENCE = {
    "train": science(
        ("What is water made of?", ["salt", " hydrogen and oxygen", "iron ", "light"], "B"),
        (f"Which{ODD}?", ["one", "two", "three"], "C"),
    ),
    "test": science(
        ("Where do fish live?", ["in trees", "in water", "on the moon", "in fire"], "B"),
        ("Which letter is first?", ["A", "B", "C", "D"], "A"),
    ),
}
EXAM = [
    {"question": " Which bone is longest?\n", "choices": ["femur", "ulna ", "{{ rib }}", "skull"], "answer": 0, "subject": "anatomy"},
    {"question": "Which is red?", "choices": ["bone", "blood", "both, partly", "'neither'"], "answer": 1, "subject": "anatomy"},
    {"question": f"Name{ODD}", "choices": ["0", "1", "2", "3"], "answer": 3, "subject": "anatomy"},
    {"question": "Last one", "choices": ["w", "x", "y", "z"], "answer": 2, "subject": "anatomy"},
]
PASSAGES = [
    {
        "flores_passage": f"A passage.{ODD}",
        "question": f" What is number {at}? ",
        **{f"mc_answer{n}": f"answer {n}" for n in range(1, 5)},
        "correct_answer_num": str(at % 4 + 1),
    }
    for at in range(12)
]
HEALTH = [
    {"qtext": "Which organ pumps?", "ra": 2, "answers": [{"aid": 1, "atext": "liver"}, {"aid": 2, "atext": " heart"}]},
    {"qtext": f"Which{ODD}", "ra": 1, "answers": [{"aid": n, "atext": f"choice {n}"} for n in range(1, 5)]},
    {"qtext": "¿Cuál?", "ra": 3, "answers": [{"aid": n, "atext": f"opción {n}"} for n in range(1, 4)]},
]
TRIVIA = [
    {"question": "Who wrote Hamlet", "answer": {"aliases": ["Shakespeare", "W. Shakespeare"], "value": "Shakespeare"}},
    {"question": f"What{ODD}", "answer": {"aliases": ["42", "forty-two"], "value": "42"}},
    {"question": "Where is Paris", "answer": {"aliases": ["France, Europe"], "value": "France"}},
]
OPEN = [
    {"question": "when did it begin", "answer": ["April 1, 1940", "1940"]},
    {"question": "who sang it", "answer": ["Ada O'Hara"]},
    {"question": f"what{ODD}", "answer": ["a 'quoted' thing", "other"]},
]
MATHS = [
    {"question": "Ann has 2 pens and buys 3. How many?", "answer": "She has 2+3=<<2+3=5>>5 pens.\n#### 5"},
    {"question": f"Costs{ODD}?", "answer": "It is $1,000.\n#### 1,000"},
    {"question": "Ten minus four?\n", "answer": "10-4=6\n#### 6"},
]
ENDINGS = [
    {"startphrase": f"She opens {at}{ODD}", **{f"ending{n}": f"and ends {n}." for n in range(4)}, "label": at % 4} for at in range(3)
]
TRUTHS = [
    {
        "question": f"Question number {at}: what happens{ODD if at % 2 else ''}?",
        "mc1_targets": {"choices": [f"Nothing {at}", "Something", "It depends, partly"], "labels": [1, 0, 0]},
    }
    for at in range(20)
]
READING = [
    {
        "document_str": f"  Document {at}.\nSecond line.  ",
        "question_str": f"Question {at}?",
        "answer_options": {"answer_id": ["1", "2", "3"], "answer_str": [f"first {at}", "second", "third"]},
        "correct_answer_id": str(at % 3 + 1),
    }
    for at in range(20)
]
SENSES = [
    {"word": "bank", "sentence1": "The bank is closed.", "sentence2": "A river bank.", "start1": 4, "end1": 8, "label": 0},
    {"word": "run", "sentence1": "They run fast.", "sentence2": "A long run.", "start1": 5, "end1": 8, "label": 1},
    {"word": "été", "sentence1": "Un été chaud", "sentence2": f"L'été{ODD}", "start1": 3, "end1": 6, "label": 1},
]
FREE = [
    {"inputs": f"Say it{ODD}\nA:", "targets": ["yes", "of course"]},
    {"inputs": "And again:", "targets": ["no"]},
    *({"inputs": f"Item {at}", "targets": [f"answer {at}"]} for at in range(20)),
]
KOREAN = [
    {"question": " 질문 하나? ", "answer": 1, "A": "가", "B": "나", "C": "다", "D": "라"},
    {"question": f"둘{ODD}", "answer": 4, "A": "a", "B": "b", "C": "c", "D": "d"},
    {"question": "셋?", "answer": 2, "A": "1", "B": "2", "C": "3", "D": "4"},
]
REVIEWS = [
    {"text": f"Le lit est dur.{ODD}", "topic": "lit", "polarity": "negatif"},
    {"text": "Belle vue", "topic": "vue", "polarity": "positif"},
    *({"text": f"Avis {at}", "topic": "prix", "polarity": "neutre"} for at in range(20)),
]
STEPS = [
    {"input": "Turn left.\nOptions:\n- Yes\n- No", "target": "No"},
    {"input": f"Go{ODD}", "target": "Yes"},
    *({"input": f"Take {at} steps.", "target": "Yes"} for at in range(20)),
]
LETTERS = [
    {"Text": "A long letter", "Kind": "formal", "Words": ["one", "two"], "Year": 1999, "task": "reply"},
    {"Text": f"Short{ODD}", "Kind": "casual", "Words": ["x"], "Year": 7, "task": "file it"},
    {"Text": "Third ", "Kind": "formal", "Words": ["{{", "}}"], "Year": 2026, "task": " none "},
]

ZERO_ONE_TWO = [[["train", 0]], [["train", 1], ["train", 0]]]


def asked(split: str = "validation", shown: Any = None, queries: tuple[int, ...] = (0, 1)) -> list[list[Any]]:
    """Every query without demonstrations and after each of these lists of them."""
    return [[[split, at], list(rows)] for at in queries for rows in ([], *(ZERO_ONE_TWO if shown is None else shown))]


def within(split: str) -> list[list[Any]]:
    """Query and demonstrations of one split."""
    return asked(split, [[[split, 2]], [[split, 3], [split, 1]]])


TASKS: dict[str, dict[str, Any]] = {
    "arc_easy": {"yaml": "stock/arc/arc_easy.yaml", "splits": SCIENCE, "asked": asked("test")},
    "arc_challenge": {"yaml": "stock/arc/arc_challenge.yaml", "splits": SCIENCE, "asked": asked("test")},
    "openbookqa": {
        "yaml": "stock/openbookqa/openbookqa.yaml",
        "splits": {name: [{**row, "question_stem": row["question"]} for row in rows] for name, rows in SCIENCE.items()},
        "asked": asked("test"),
    },
    "boolq": {"yaml": "stock/super_glue/boolq/default.yaml", "splits": pairs("passage", "question"), "asked": asked()},
    "sst2": {"yaml": "stock/glue/sst2/default.yaml", "splits": single("sentence"), "asked": asked()},
    "cola": {"yaml": "stock/glue/cola/default.yaml", "splits": single("sentence"), "asked": asked()},
    "mrpc": {"yaml": "stock/glue/mrpc/default.yaml", "splits": pairs("sentence1", "sentence2"), "asked": asked()},
    "qqp": {"yaml": "stock/glue/qqp/default.yaml", "splits": pairs("question1", "question2"), "asked": asked()},
    "qnli": {"yaml": "stock/glue/qnli/default.yaml", "splits": pairs("question", "sentence"), "asked": asked()},
    "rte": {"yaml": "stock/glue/rte/default.yaml", "splits": pairs("sentence1", "sentence2"), "asked": asked()},
    "wnli": {"yaml": "stock/glue/wnli/default.yaml", "splits": pairs("sentence1", "sentence2"), "asked": asked()},
    "wic": {
        "yaml": "stock/super_glue/wic/default.yaml",
        "splits": {"train": SENSES[:2], "validation": SENSES[2:]},
        "asked": asked(queries=(0,)),
    },
    "anli_r1": {
        "yaml": "stock/anli/anli_r1.yaml",
        "splits": {f"{name}_r1": rows for name, rows in zip(("train", "test"), pairs("premise", "hypothesis").values(), strict=True)},
        "asked": asked("test_r1", [[["train_r1", 1]], [["train_r1", 0], ["train_r1", 1]]]),
    },
    "piqa": {
        "yaml": "stock/piqa/piqa.yaml",
        "splits": {
            name: [{"goal": row["sentence1"], "sol1": row["sentence2"], "sol2": " other", "label": row["label"]} for row in rows]
            for name, rows in pairs("sentence1", "sentence2").items()
        },
        "asked": asked(),
    },
    "sciq": {
        "yaml": "stock/sciq/sciq.yaml",
        "splits": {
            name: [
                {
                    "support": f"  {row['question']} indeed",
                    "question": row["question"],
                    **{f"distractor{n}": f"wrong {n}" for n in (1, 2, 3)},
                    "correct_answer": "right",
                }
                for row in rows
            ]
            for name, rows in SCIENCE.items()
        },
        "asked": asked("test"),
    },
    "commonsense_qa": {
        "yaml": "stock/commonsense_qa/default.yaml",
        "splits": {
            name: [
                {
                    "question": f" Question {name} {at}",
                    "choices": {"text": list("vwxyz"), "label": list("ABCDE")},
                    "answerKey": "ABCDE"[at + 2],
                }
                for at in range(2)
            ]
            for name in ("train", "validation")
        },
        "asked": asked(),
    },
    "mmlu_anatomy": {
        "yaml": "stock/mmlu/default/mmlu_anatomy.yaml",
        "splits": {"dev": EXAM[:2], "test": EXAM[2:]},
        "asked": asked("test", [[["dev", 0]], [["dev", 0], ["dev", 1]]]),
    },
    "mmlu_anatomy_generative": {
        "yaml": "stock/mmlu/generative/mmlu_anatomy.yaml",
        "splits": {"dev": EXAM[:2], "test": EXAM[2:]},
        "asked": asked("test", [[["dev", 0]], [["dev", 0], ["dev", 1]]]),
    },
    "belebele_eng_Latn": {"yaml": "stock/belebele/belebele_eng_Latn.yaml", "splits": {"test": PASSAGES}, "asked": within("test")},
    "headqa_en": {
        "yaml": "stock/headqa/headqa_en.yaml",
        "splits": {"train": HEALTH[:2], "test": HEALTH[2:]},
        "asked": asked("test", queries=(0,)),
    },
    "headqa_es": {
        "yaml": "stock/headqa/headqa_es.yaml",
        "splits": {"train": HEALTH[1:], "test": HEALTH[:1]},
        "asked": asked("test", queries=(0,)),
    },
    "swag": {"yaml": "stock/swag/swag.yaml", "splits": {"train": ENDINGS[:2], "validation": ENDINGS[2:]}, "asked": asked(queries=(0,))},
    "social_iqa": {
        "yaml": "stock/siqa/siqa.yaml",
        "splits": {
            name: [
                {"context": row["question"], "question": "And then?", **{f"answer{x}": f"{x} it is" for x in "ABC"}, "label": str(at + 2)}
                for at, row in enumerate(rows)
            ]
            for name, rows in {"train": MATHS[:2], "validation": MATHS[2:]}.items()
        },
        "asked": asked(queries=(0,)),
    },
    "truthfulqa_mc1": {"yaml": "stock/truthfulqa/truthfulqa_mc1.yaml", "splits": {"validation": TRUTHS}, "asked": within("validation")},
    "qa4mre_2011": {"yaml": "stock/qa4mre/qa4mre_2011.yaml", "splits": {"train": READING}, "asked": within("train")},
    "french_bench_topic_based_nli": {
        "yaml": "stock/french_bench/french_bench_topic_based_nli.yaml",
        "splits": {"valid": REVIEWS[:2], "test": REVIEWS[2:]},
        "asked": asked("test", [[["valid", 0]], [["valid", 1], ["valid", 0]]]),
    },
    "triviaqa": {
        "yaml": "stock/triviaqa/default.yaml",
        "splits": {"train": TRIVIA[:2], "validation": TRIVIA[2:]},
        "asked": asked(queries=(0,)),
    },
    "nq_open": {"yaml": "stock/nq_open/nq_open.yaml", "splits": {"train": OPEN[:2], "validation": OPEN[2:]}, "asked": asked(queries=(0,))},
    "gsm8k": {"yaml": "stock/gsm8k/gsm8k.yaml", "splits": {"train": MATHS[:2], "test": MATHS[2:]}, "asked": asked("test", queries=(0,))},
    "kmmlu_direct_accounting": {
        "yaml": "stock/kmmlu/direct/kmmlu_direct_accounting.yaml",
        "splits": {"dev": KOREAN[:2], "test": KOREAN[2:]},
        "asked": asked("test", [[["dev", 0]], [["dev", 1], ["dev", 0]]], (0,)),
    },
    "bigbench_abstract_narrative_understanding_generate_until": {
        "yaml": "stock/bigbench/generate_until/abstract_narrative_understanding.yaml",
        "splits": {"default": FREE},
        "asked": within("default"),
    },
    "bbh_zeroshot_navigate": {"yaml": "stock/bbh/zeroshot/navigate.yaml", "splits": {"test": STEPS}, "asked": within("test")},
    "own_samples": {"yaml": "own/samples.yaml", "splits": {"test": STEPS}, "asked": [[["test", 0], "own"], [["test", 1], "own"]]},
    "own_delimiters": {
        "yaml": "own/delimiters.yaml",
        "splits": {"train": LETTERS[:2], "test": LETTERS[2:]},
        "asked": asked("test", queries=(0,)),
    },
    "own_fewshot": {
        "yaml": "own/fewshot.yaml",
        "splits": {"train": LETTERS[:2], "test": LETTERS[2:]},
        "asked": asked("test", queries=(0,)),
    },
}
"""Name of a task → its YAML file, its rows by split, and what is asked: (split, position) of a query, and of demonstrations."""
