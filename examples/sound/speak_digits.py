#!/usr/bin/env python3
"""Has espeak-ng speak the ten digits in 30 voices, as labelled WAV files for the pipeline beside this file.

A file's name is digit/voice-speed-pitch.wav. Three of the files are broken, as files are: empty, cut off, and no sound at all.
"""

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

FOLDER = Path("/tmp/headrace-sound/digits")  # noqa: S108 (the manifest names it)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f5")
SPEEDS, PITCHES = (130, 180), (40, 60)
"""Words a minute, and espeak-ng's own scale from 0 to 99."""


def speak(digit: str, voice: str, speed: int, pitch: int) -> None:
    """Writes one file."""
    folder = FOLDER / digit
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{voice.replace('-', '_').replace('+', '_')}-{speed}-{pitch}.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(file), digit], check=True)


if not shutil.which("espeak-ng"):
    sys.exit("speak_digits.py needs espeak-ng; on Debian: apt-get install espeak-ng")
for digit, accent, variant, speed, pitch in product(DIGITS, ACCENTS, VARIANTS, SPEEDS, PITCHES):
    speak(digit, f"{accent}+{variant}", speed, pitch)
whole = (FOLDER / "one" / "en_us_f1-130-40.wav").read_bytes()
(FOLDER / "one" / "empty-130-40.wav").write_bytes(b"")
(FOLDER / "one" / "cut-130-40.wav").write_bytes(whole[: len(whole) // 2])
(FOLDER / "one" / "text-130-40.wav").write_text("This is not a sound.\n")
print(f"{len(list(FOLDER.rglob('*.wav')))} files are in {FOLDER}")
