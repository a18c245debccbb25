"""The plugin that names what was skipped, and that makes CI fail for it."""

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
import pytest

def test_that_runs(): pass

@pytest.mark.skip(reason="no such server")
def test_marked(): pass

def test_that_gives_up(): pytest.skip("no such port")

@pytest.mark.xfail
def test_expected_to_fail(): assert False
"""


@pytest.fixture
def run(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> pytest.Pytester:
    pytester.syspathinsert(request.config.rootpath)
    pytester.makepyfile(SKIPPING)
    return pytester


def test_a_run_ends_with_the_names_of_the_skipped_tests(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    result = run.runpytest_subprocess("-p", "tests.skips")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*::test_marked: no such server", "*::test_that_gives_up: no such port"])
    assert "1 passed, 2 skipped, 1 xfailed" in result.outlines[-1]


def test_a_skip_is_a_failure_in_ci(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    result = run.runpytest_subprocess("-p", "tests.skips")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # A mark acts before the test is called, which pytest counts as an error.
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)


def test_a_module_skipped_as_a_whole_is_a_failure_in_ci(
    pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.syspathinsert(request.config.rootpath)
    pytester.makepyfile("import pytest; pytest.skip('not today', allow_module_level=True)")

    result = pytester.runpytest_subprocess("-p", "tests.skips")

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*CI must run everything: not today*"])
