"""The JavaScript client: its own tests, its types, its size, and what npm would publish."""

import gzip
import json
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import npm

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "javascript"
PAGE = ROOT / "plugins" / "dashboard" / "tidings_dashboard" / "static"
MOST_BYTES = 8 * 1024


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    npm.install_in_place(CLIENT, "the JavaScript client")


def run(command: Sequence[str], folder: Path = CLIENT) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_its_own_tests_pass() -> None:
    tests = sorted(str(path.relative_to(CLIENT)) for path in CLIENT.glob("test/*.test.js"))
    said = run(["node", "--test", "--test-reporter=tap", *tests])
    passed, skipped = (
        int(re.search(rf"^# {word} (\d+)$", said, re.MULTILINE)[1]) for word in ("pass", "skipped")
    )  # type: ignore[index]
    assert passed >= 50
    assert skipped == 0


def test_sources_tests_and_examples_have_the_types_that_are_published() -> None:
    run(["node_modules/.bin/tsc"])


WRONG_USES = {
    'connect({ transport: "pigeon" });': "TS2322",
    'connect().on("gap", (gap) => gap.size);': "TS2339",
    'connect().on("nothing", () => {});': "TS2769",
    "for await (const event of connect()) event.cursor.size;": "TS2339",
}


def test_a_wrong_use_is_noticed_by_the_types(tmp_path: Path) -> None:
    paths = {"tidings-client": [str(CLIENT / "types/index.d.ts")]}
    config = {
        "extends": str(CLIENT / "tsconfig.json"),
        "include": [str(tmp_path / "use.mts")],
        "compilerOptions": {"paths": paths, "types": []},
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    (tmp_path / "use.mts").write_text("\n".join(['import { connect } from "tidings-client";', *WRONG_USES]))
    command = [str(CLIENT / "node_modules/.bin/tsc"), "-p", str(tmp_path)]
    done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False, timeout=60)
    complaints = re.findall(r"use\.mts\((\d+),\d+\): error (TS\d+)", done.stdout)
    assert complaints == [(str(line), code) for line, code in enumerate(WRONG_USES.values(), 2)]


def page_complaints(folder: Path, page: Path, libraries: Sequence[str], *, script: str) -> str:
    """What the compiler has to say of a script of the dashboard, with all that it imports."""
    (folder / "client").mkdir(exist_ok=True)
    (folder / "client" / "index.d.ts").write_bytes((CLIENT / "types" / "index.d.ts").read_bytes())
    (folder / "shell.d.ts").write_text("declare const SHELL: { version: string; paths: string[] };")
    options = {
        "allowJs": True,
        "checkJs": True,
        "noEmit": True,
        "strict": True,
        "target": "es2023",
        "module": "esnext",
        "moduleResolution": "bundler",
        "lib": ["es2023", *libraries],
        "types": [],
        "rootDirs": [str(page), str(folder)],  # the server has the client in a folder of the page's
    }
    config = {"compilerOptions": options, "files": [str(page / script), str(folder / "shell.d.ts")]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    command = [str(CLIENT / "node_modules/.bin/tsc"), "-p", str(folder)]
    done = subprocess.run(command, cwd=CLIENT, capture_output=True, text=True, check=False, timeout=90)
    return done.stdout


def test_the_dashboard_uses_the_client_and_itself_by_their_types(tmp_path: Path) -> None:
    assert (
        page_complaints(tmp_path, PAGE, ["dom", "dom.iterable", "dom.asynciterable"], script="app.js") == ""
    )
    assert page_complaints(tmp_path, PAGE, ["webworker", "webworker.iterable"], script="sw.js") == ""


def test_a_wrong_use_in_the_dashboard_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    for file in PAGE.glob("*.js"):
        (page / file.name).write_bytes(file.read_bytes())
    row = page / "live.js"
    row.write_text(row.read_text().replace("client.on(", "client.hear("))
    (tmp_path / "made").mkdir()
    libraries = ["dom", "dom.iterable", "dom.asynciterable"]
    assert "TS2339" in page_complaints(tmp_path / "made", page, libraries, script="app.js")


def test_it_is_smaller_than_it_promises() -> None:
    bundle = run(
        [
            "node_modules/.bin/esbuild",
            "src/index.js",
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
        ]
    )
    size = len(gzip.compress(bundle.encode(), 9))
    print(f"{len(bundle)} bytes minified, {size} of them after gzip")
    assert len(bundle) > 5000
    assert size < MOST_BYTES


def test_what_npm_would_publish_is_whole_and_runs_as_it_is(tmp_path: Path) -> None:
    said = json.loads(run(["npm", "pack", "--json", "--ignore-scripts", "--pack-destination", str(tmp_path)]))
    packed = said[0] if isinstance(said, list) else next(iter(said.values()))
    names = {file["path"] for file in packed["files"]}
    written = {
        str(path.relative_to(CLIENT))
        for folder in ("src", "react", "types", "examples")
        for path in CLIENT.glob(f"{folder}/*")
    }
    assert names == written | {"package.json", "README.md", "LICENSE"}
    home = tmp_path / "node_modules" / "tidings-client"
    home.mkdir(parents=True)
    with tarfile.open(tmp_path / packed["filename"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "package").rename(home)
    script = """
        import { connect, TidingsError } from "tidings-client";
        const client = connect({ url: "http://127.0.0.1:9/", token: "x" });
        client.close();
        console.log(client.status.state, new TidingsError("a", "b").name);
    """
    (tmp_path / "use.mjs").write_text(script)
    assert run(["node", "use.mjs"], tmp_path) == "closed TidingsError\n"


def test_the_package_is_what_it_says() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert "dependencies" not in package
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    lock = json.loads((CLIENT / "package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
    assert all(re.fullmatch(r"[\d.]+", version) for version in package["devDependencies"].values())


def test_no_module_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in CLIENT.glob("[srt]*/*.[jt]s*")}
    assert len(lines) > 15
    assert {path.name: count for path, count in lines.items() if count > 450} == {}
