"""Run tests of python's own suites and say how each ended, one a line, sorted: suite.py [-x PATTERN]... [-p K/N] NAME...

    passed | failed | error | skipped   test.test_socket.GeneralModuleTests.testRefCountGetNameInfo

NAME is a module, a class or a test. What fits PATTERN, matched against the whole name, is left out; -p takes the
Kth of N parts, by classes. Tracebacks go to standard error. A test that hangs ends the run after
SUITE_LIMIT seconds, with every thread's stack: the tests that were not reached are missing then.
"""
import faulthandler
import fnmatch
import getopt
import os
import sys
import unittest
import warnings

from test import support


def leaves(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from leaves(one)
        else:
            yield one


class Outcomes(unittest.TextTestResult):
    """The worst that was said about a test is its outcome: a subtest that fails is followed by no success."""

    worst = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}

    def __init__(self, *args):
        super().__init__(*args)
        self.outcomes = {}

    def note(self, test, outcome):
        name = getattr(test, "test_case", test).id()
        known = self.outcomes.get(name, "passed")
        self.outcomes[name] = max(known, outcome, key=self.worst.get)

    def addSuccess(self, test):
        self.note(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "failed")

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, "error")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.note(test, "failed" if issubclass(error[0], test.failureException) else "error")


options, modules = getopt.getopt(sys.argv[1:], "x:p:")
excluded = [pattern for option, pattern in options if option == "-x"]
part, parts = (int(number) for number in dict(options).get("-p", "1/1").split("/"))
support.use_resources = []  # none that leaves this machine
support.verbose = 0
warnings.simplefilter("ignore")
faulthandler.dump_traceback_later(int(os.environ.get("SUITE_LIMIT", "180")), exit=True)
chosen = unittest.TestSuite()
classes = []
for test in leaves(unittest.defaultTestLoader.loadTestsFromNames(modules)):
    if type(test) not in classes:
        classes.append(type(test))
    if classes.index(type(test)) % parts == part - 1 and not any(fnmatch.fnmatchcase(test.id(), one) for one in excluded):
        chosen.addTest(test)
result = unittest.TextTestRunner(sys.stderr, resultclass=Outcomes, verbosity=0).run(chosen)
for name, outcome in sorted(result.outcomes.items()):
    print(f"{outcome} {name}")
