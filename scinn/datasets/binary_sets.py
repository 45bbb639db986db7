"""The registered sets of binary features: what each bit means, and where the set comes from or how it is made."""

from __future__ import annotations

from textwrap import fill
from types import MappingProxyType
from typing import Any

from scinn.datasets.info import DatasetInfo, HandMade, SourceFile

__all__ = ["ARCHIVES", "EMBEDDED", "KELLEY"]

#: The repository of the authors of Fourier stabilisation, and its last state.
KELLEY = "https://github.com/AidanKelley/fourier-stabilization"
_COMMIT = "2a93bef5f329d594b1dc0d59915a12dad735c335"
_UCI = "https://archive.ics.uci.edu/dataset"

_PAPER = "raviv2021enhancing"
_NO_SUM = "no checksum of the official files is recorded, and they differ from this packing"


def _set(name: str, title: str, counts: dict[str, int], **more: Any) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        task="binary features",
        title=title,
        counts=MappingProxyType({**counts, "classes": 2}),
        **more,
    )


def _of_the_paper(
    name: str, title: str, counts: dict[str, int], stem: str, folder: str, sums: tuple[str, str], **more: Any
) -> DatasetInfo:
    return _set(
        name,
        title,
        counts,
        kind="archive",
        licence="not stated by the publisher",
        origin="github.com/AidanKelley/fourier-stabilization, the authors' division into training and test rows",
        citation=_PAPER,
        sources=tuple(
            SourceFile(f"{KELLEY}/raw/{_COMMIT}/{folder}/{stem}_{part}.libsvm", value)
            for part, value in zip(("train", "test"), sums)
        ),
        **more,
    )


def _uci(
    name: str, title: str, counts: dict[str, int], address: str, arrays: str, recipe: str, **more: Any
) -> DatasetInfo:
    return _set(
        name,
        title,
        counts,
        kind="archive",
        licence="CC BY 4.0, as far as known",
        origin=f"UCI Machine Learning Repository, {_UCI.removeprefix('https://')}/{address}",
        hand_made=HandMade(f"{_UCI}/{address}", _NO_SUM, arrays, recipe),
        **more,
    )


_VOTES = (
    *("handicapped-infants", "water-project-cost-sharing", "adoption-of-the-budget-resolution"),
    *("physician-fee-freeze", "el-salvador-aid", "religious-groups-in-schools", "anti-satellite-test-ban"),
    *("aid-to-nicaraguan-contras", "mx-missile", "immigration", "synfuels-corporation-cutback"),
    *("education-spending", "superfund-right-to-sue", "crime", "duty-free-exports"),
    "export-administration-act-south-africa",
)
_MUSHROOM = (
    *("cap-shape", "cap-surface", "cap-color", "bruise", "odor", "gill-attach", "gill-space", "gill-size"),
    *("gill-color", "stalk-shape", "stalk-root", "stalk-surface-above-ring", "stalk-surface-below-ring"),
    *("stalk-color-above-ring", "stalk-color-below-ring", "veil-type", "veil-color", "ring-number"),
    *("ring-type", "spore-print-color", "population", "habitat"),
)

ARCHIVES = (
    _of_the_paper(
        "pdfrate-binary",
        "PDFRate-B: features of PDF files, benign or malicious",
        {"samples": 19853, "features": 135, "train": 10082, "test": 9771, "positives": 10862},
        "pdfrateB",
        "pdf_dataset/data",
        (
            "d6df5f7278895f07adbeb47361ea9e05e29c48acc86bbe93b97e03ed5bf5c024",
            "b23312ee9d54f15ac084db2c1b77811a6c3a83f339df8f1a991bfc70843fa217",
        ),
        aliases=("binary-pdfrate", "pdfrate"),
        class_names=("benign", "malicious"),
        file="binary_pdfrate.npz",
        file_sha256="29eaff7ae9073207918627d35c333305e6ea723352374225f6755c214bec9ee4",
        content_sha256="32fc208c5883588ca3a16d841447ae50fed8b880dcf4002fe7568f17f24cb3d2",
        note="Rows repeat: 1206 of the training and 1254 of the test rows are distinct, and 91 % of the test "
        "rows are also training rows. 27 columns are constant.",
    ),
    _of_the_paper(
        "hidost-binary",
        "Hidost: structural paths of PDF files, benign or malicious",
        {"samples": 19853, "features": 961, "train": 10082, "test": 9771, "positives": 10862},
        "hidost",
        "pdf_dataset/data",
        (
            "3c217cb4b3ce5f85c65ea3e3cca42aba2cadbb0b0d5be5b33ede2638e6b1489a",
            "4946291e3cd254eb7e72449d3824304617ad3c626dd2563a306896618616a6db",
        ),
        aliases=("binary-hidost", "hidost"),
        class_names=("benign", "malicious"),
        file="binary_hidost.npz",
        file_sha256="eac92dbfa4e87e4e315113149bfcb35f934d0afc4a21b92ef04a1871e3ce019e",
        content_sha256="53c788f99a1726122658f99071fc1189c826c5ab495d84bfd78fa2c81dfb4026",
        note="Rows repeat: 1675 of the training and 1741 of the test rows are distinct, and 86 % of the test "
        "rows are also training rows.",
    ),
    _of_the_paper(
        "hate-speech-binary",
        "Posts of the network Gab, hateful or not, as bags of 200 words",
        {"samples": 45601, "features": 200, "train": 22834, "test": 22767, "positives": 15104},
        "gab",
        "hatespeech",
        (
            "d2b8592541b03c3af9e5c15bdc54ea6c0f9ae32cc705fbdc024dae411d688dff",
            "a9549fdcfc2e1e0fc3d95bd651eb57a1a07740c04d8052ba890633d9865e9891",
        ),
        aliases=("binary-hatespeech", "hate-speech", "hatespeech"),
        class_names=("other", "hateful"),
        file="binary_hatespeech.npz",
        file_sha256="7bc7021d5603ab83a0b902a6566d8458f9ac5e189ea0bbbf6d17c2c9bc64ee35",
        content_sha256="698e77f2c10eb7f70e8adc8de7b025435a73221c18e3b051c65da23d7e71905e",
        note="The words are not named. Many posts hold none of them; 9589 of the training and 9438 of the "
        "test rows are distinct, and some rows come with both labels.",
    ),
    _set(
        "drebin215",
        "Drebin-215: permissions, calls and intents of Android apps, benign or malware",
        {"samples": 15036, "features": 215, "positives": 5560},
        kind="archive",
        licence="CC BY 4.0, as far as known",
        origin="S. Y. Yerima, figshare, doi 10.6084/m9.figshare.5854653",
        citation="yerima2019droidfusion",
        aliases=("drebin", "drebin-215"),
        class_names=("benign", "malware"),
        file="drebin215.npz",
        file_sha256="f0ff002a82b5579a5b3fb788337e4c7df75515efdf2a7f4191d8309e8a1fa262",
        content_sha256="6c076172fe20606e44854cea0061201c8b77575c85c9589ff218b0c0e1ebb5fe",
        hand_made=HandMade(
            "https://doi.org/10.6084/m9.figshare.5854653",
            _NO_SUM,
            "x_packed = numpy.packbits(features, axis=1), n_features = 215, y (1 = malware, 0 = benign) and "
            "feature_names, the columns of the published table with S (malware) or B in the last",
            "import csv, numpy\n"
            'rows = list(csv.reader(open("drebin-215-dataset-5560malware-9476-benign.csv")))\n'
            "x = numpy.array([row[:215] for row in rows[1:]]).astype(numpy.uint8)\n"
            'numpy.savez("drebin215.npz", x_packed=numpy.packbits(x, axis=1), n_features=215,\n'
            '            y=[row[215] == "S" for row in rows[1:]], feature_names=rows[0][:215])',
        ),
        note="7257 rows are distinct. A copy with missing entries (?) is another set and is refused.",
    ),
    _uci(
        "uci-phishing",
        "Phishing websites: 30 graded properties as 60 ordered bits",
        {"samples": 11055, "features": 60, "positives": 4898},
        "327/phishing+websites",
        "x (11055, 30) with the published values -1, 0, 1; y, the published last column -1 or 1; feature_names",
        "import numpy\n"
        'lines = [line.strip() for line in open("Training Dataset.arff")]\n'
        'names = [line.split()[1] for line in lines if line.lower().startswith("@attribute")][:30]\n'
        'rows = [line.split(",") for line in lines if line and line[0] not in "@%"]\n'
        "table = numpy.array(rows).astype(int)\n"
        'numpy.savez("uci_phishing.npz", x=table[:, :30], y=table[:, 30], feature_names=names)',
        citation="mohammad2012assessment",
        aliases=("phishing",),
        class_names=("legitimate", "phishing"),
        file="uci_phishing.npz",
        file_sha256="5828a125dab4c709f56321a42f73989d65f7ccf30d38ceba72df0c905d896ce4",
        content_sha256="9e5753ee9636c0491625b03b713fe5167350fb6f653822b915c25187eb0d76ea",
        note="A property x in {-1, 0, 1} becomes the ordered pair of bits x >= 0, x >= 1 (a thermometer code, "
        "so the second never stands without the first). Where only -1 and 1 occur both bits are equal, and "
        "Redirect>=0 is constant; all columns are kept. Class 1 is the published -1, phishing in the coding of "
        "the properties; sources disagree about the sign.",
    ),
    _uci(
        "uci-votes",
        "Votes of the US House of Representatives in 1984, democrat or republican",
        {"samples": 435, "features": 32, "positives": 168},
        "105/congressional+voting+records",
        "x (435, 16): 1 yes, 0 no, -1 unknown; y: 1 republican, 0 democrat; feature_names",
        "import numpy\n"
        'rows = [line.strip().split(",") for line in open("house-votes-84.data")]\n'
        'code = {"y": 1, "n": 0, "?": -1}\n'
        f'names = """{fill(" ".join(_VOTES), 100, break_on_hyphens=False)}"""\n'
        'numpy.savez("uci_votes84.npz", x=[[code[vote] for vote in row[1:]] for row in rows],\n'
        '            y=[row[0] == "republican" for row in rows], feature_names=names.split())',
        citation="schlimmer1987concept",
        aliases=("votes", "uci-votes84", "congressional-voting"),
        class_names=("democrat", "republican"),
        file="uci_votes84.npz",
        file_sha256="9698f0f5c88dc7af45e46b04bc4ed1aaa48c25a3c3ad5cfcb2ee7fc1b1caa184",
        content_sha256="133ffd2a281d86b2123563abeef15ece7fdbbfb5f301ed84ce050bb06e845c64",
        note="Each vote becomes two bits, yes and no; both are 0 where it is unknown (392 times).",
    ),
    _uci(
        "uci-mushroom",
        "Mushrooms: 22 categories as 117 one-hot bits, edible or poisonous",
        {"samples": 8124, "features": 117, "positives": 3916},
        "73/mushroom",
        "x_letters (8124, 22), uint8: the ASCII codes of the official letters; y: 1 poisonous, 0 edible; "
        "feature_names",
        "import numpy\n"
        'rows = [line.strip().split(",") for line in open("agaricus-lepiota.data")]\n'
        f'names = """{fill(" ".join(_MUSHROOM), 100, break_on_hyphens=False)}"""\n'
        "letters = numpy.array([[ord(letter) for letter in row[1:]] for row in rows], dtype=numpy.uint8)\n"
        'numpy.savez("uci_mushroom.npz", x_letters=letters, y=[row[0] == "p" for row in rows],\n'
        "            feature_names=names.split())",
        citation="schlimmer1987concept",
        aliases=("mushroom",),
        class_names=("edible", "poisonous"),
        file="uci_mushroom.npz",
        file_sha256="8effaadef8ea4cac2a665500253816ad3fc8171e2ae3b45305871fad4b60c810",
        content_sha256="8e30009c6381db3ab467bdfa73c8b246d4b8d3c091a71e739d6618249a27fc83",
        note="One bit for each letter that occurs in a column, by rising letter; the ? of stalk-root is a letter "
        "like the others. Exactly one bit of each category is set; veil-type=p always.",
    ),
    _uci(
        "uci-spambase",
        "Spambase: which of 57 word, sign and capital counts a mail has at all",
        {"samples": 4601, "features": 57, "positives": 1813},
        "94/spambase",
        "x (4601, 57) and y (1 = spam), the columns of the published table",
        "import numpy\n"
        'table = numpy.loadtxt("spambase.data", delimiter=",")\n'
        'numpy.savez("uci_spambase.npz", x=table[:, :57], y=table[:, 57].astype(int))',
        citation="hopkins1999spambase",
        aliases=("spambase",),
        class_names=("mail", "spam"),
        file="uci_spambase.npz",
        file_sha256="3163eb0fae1cf65c14138ec5290de61e37c1f66fc5ee8406f59f471f730fcd18",
        content_sha256="2f253d246c3a8553681509e6c32d527a34e15ec017e9950725adee3c2c52f011",
        note="Bit j says that the published number j is positive; the last three (runs of capitals) always are.",
    ),
    _uci(
        "uci-spect",
        "SPECT heart: 22 partial diagnoses, normal or abnormal",
        {"samples": 267, "features": 22, "train": 80, "test": 187, "positives": 212},
        "95/spect+heart",
        "x_train (80, 22), y_train, x_test (187, 22), y_test (1 = abnormal)",
        "import numpy\n"
        'a, b = (numpy.loadtxt(f"SPECT.{part}", dtype=int, delimiter=",") for part in ("train", "test"))\n'
        'numpy.savez("uci_spect.npz", x_train=a[:, 1:], y_train=a[:, 0], x_test=b[:, 1:], y_test=b[:, 0])',
        citation="kurgan2001knowledge",
        aliases=("spect",),
        class_names=("normal", "abnormal"),
        file="uci_spect.npz",
        file_sha256="7fe64df1d0a74ec2fe198f106ecebafe88881563d7df712d59682a7e1ac3421d",
        content_sha256="e2e75b96defd8659375334d60db38410143ff2423e6f08d6c2a1a8e2bcf389c8",
        note="The published training part is balanced (40 of 80), the test part is not (172 of 187 abnormal).",
    ),
)

EMBEDDED = (
    _set(
        "breast-cancer-binary",
        "Breast cancer: 30 measurements as 90 ordered bits, benign or malignant",
        {"samples": 569, "features": 90, "positives": 212},
        kind="embedded",
        licence="distributed with scikit-learn (BSD-3-Clause)",
        origin="scikit-learn; UCI Breast Cancer Wisconsin (Diagnostic)",
        citation="street1993nuclear",
        aliases=("breast-cancer",),
        class_names=("benign", "malignant"),
        content_sha256="094c02b9e3b1d113233dd599cb5c56584618b2ddf70ffcbe2b70d63923aa16ed",
        note="Three bits a measurement: above its quartiles over all 569 rows, a thermometer code that looks "
        "at no label. Class 1 is malignant, which scikit-learn numbers 0.",
    ),
    _set(
        "digits-binary",
        "Handwritten digits, 8 x 8 dark or light pixels, 0 to 4 against 5 to 9",
        {"samples": 1797, "features": 64, "positives": 896},
        kind="embedded",
        licence="distributed with scikit-learn (BSD-3-Clause)",
        origin="scikit-learn; test part of UCI Optical Recognition of Handwritten Digits",
        citation="alpaydin1998optical",
        class_names=("0 to 4", "5 to 9"),
        content_sha256="af419aaca0758df3c22003009f570d9f2ec4366fc42f439867b0d3e705d4845d",
        note="A bit says that the pixel, from 0 to 16, is above 7. Some pixels at the border never are.",
    ),
)
