"""A real Slurm on one machine, for tests: two nodes with four GPUs each, and accounting; its files lie in one folder.

    python cluster.py up FOLDER       bring it up, or restart what died in it; FOLDER/env.sh points a shell at it
    python cluster.py down FOLDER     stop what was started there; `up` continues with the same accounts and queue

Debian's packages are installed if missing, which takes root. The GPUs are links to /dev/null. A node is a process, mount
and host name namespace of its own: /etc/slurm is the cluster's there (Snakemake's jobstep drops SLURM_CONF and relies on
the usual place), `hostname` is the node's name, and whatever runs on the node ends with it, as when a machine is lost.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import configuration
import debian
from configuration import ACCOUNT, CLUSTER, CONTROLLER, NODES
from daemons import ClusterError, Daemon, last_line, wait_for
from debian import Unavailable

SEPARATOR = "\x1f"  # names and comments may hold anything that can be typed
SACCT = ["JobID", "JobName", "Partition", "Account", "State", "ExitCode", "AllocTRES", "ReqTRES", "NNodes", "NodeList"]
SACCT += ["Timelimit", "ReqMem", "ReqCPUS", "Comment", "Submit", "Start", "End"]
SQUEUE = {"JobID": "%i", "JobName": "%j", "Partition": "%P", "State": "%T", "Reason": "%r", "NodeList": "%N"}
SQUEUE |= {"Comment": "%k"}
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
# What would steer Slurm's commands from outside, as inside another cluster's job.
FOREIGN = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SACCT", "SQUEUE", "SINFO", "SCANCEL")
SERVING = {"idle", "mixed", "allocated", "completing"}

# The shell is process 1 of the node: it reaps what slurmd leaves behind, and when it is killed, everything else is.
NODE_NAMESPACES = ["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc"]
NODE = 'mount --bind "$0" /etc/slurm && mount --bind "$0/hosts" /etc/hosts && hostname "$1" && slurmd -D -N "$1"; exit'
SERVER_NAMESPACES = ["unshare", "--mount", "--uts"]
SERVER = 'mount --bind "$0/hosts" /etc/hosts && hostname "$1" && shift && exec "$@"'


class Cluster:
    """The cluster in a folder, up or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.munged, self.mariadbd, self.slurmdbd, self.slurmctld, *nodes = (
            Daemon(name, self.folder) for name in ("munged", "mariadbd", "slurmdbd", "slurmctld", *NODES)
        )
        self.nodes = tuple(nodes)
        self.daemons = (self.munged, self.mariadbd, self.slurmdbd, self.slurmctld, *nodes)

    def up(self) -> list[str]:
        """Start what does not run, and return its names.

        Raises Unavailable where this machine cannot have a cluster, and ClusterError where a daemon does not come up; what
        came up before it stays, for ``down`` or another ``up``.
        """
        self._prepare()
        started = [daemon.name for daemon in self.daemons if daemon.pid is None]
        for start in (self._start_munged, self._start_mariadbd, self._start_slurmdbd, self._start_slurmctld):
            start()
        # First all, then the waiting, since a node takes a moment to register.
        begun = [(node, self._start_node(node)) for node in self.nodes if node.pid is None]
        for node, moment in begun:
            self._wait_node(node, moment)
        return started

    def down(self) -> list[str]:
        """Stop what was started, and return its names. Jobs end with their nodes; the files stay."""
        stopped = []
        for node in self.nodes:
            if node.pid is not None:
                node.kill()
                stopped.append(node.name)
        servers = (self.slurmctld, self.slurmdbd, self.mariadbd, self.munged)
        stopped += [server.name for server in servers if server.stop(30)]
        for daemon in self.daemons:
            daemon.record.unlink(missing_ok=True)
        return stopped

    def _prepare(self) -> None:
        if os.geteuid() != 0:
            raise Unavailable("needs root")
        if len(str(self.folder)) > 70:
            raise ClusterError(f"sockets need a path of at most 70 characters: {self.folder}")
        if subprocess.run([*NODE_NAMESPACES, "true"], capture_output=True, check=False).returncode != 0:
            raise Unavailable("needs namespaces, and unshare may not make them here")
        for name in ("dev", "etc", "log", "run", f"state/{CONTROLLER}", *(f"state/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        debian.install(self.folder / "log/apt.log")
        configuration.write(self.folder)
        text = f"export SLURM_CONF={self.folder}/etc/slurm.conf\n"
        (self.folder / "env.sh").write_text(text, encoding="utf-8")

    def _start_munged(self) -> None:
        if self.munged.pid is not None:
            return
        key = self.folder / "etc/munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(os.urandom(1024))
        at = self.folder / "run"
        options = {"key-file": key, "socket": at / "munge.sock", "pid-file": at / "munged.own-pid"}
        options |= {"log-file": self.folder / "log/munged.log", "seed-file": at / "munged.seed"}
        # It wants folders that every user can enter; all of this cluster's users are root.
        command = ["munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in options.items())]
        self.munged.start(command, self.environment())
        probe = ["munge", "--no-input", f"--socket={at}/munge.sock"]
        self.munged.wait(lambda: self._succeeds(*probe), 20)

    def _start_mariadbd(self) -> None:
        if self.mariadbd.pid is not None:
            return
        data, socket = self.folder / "mysql", self.folder / "run/mysql.sock"
        common = ["--no-defaults", "--user=root", "--innodb-log-file-size=16M"]
        if not data.exists():
            making = self.folder / "mysql.making"  # it gets its name when it is complete
            shutil.rmtree(making, ignore_errors=True)
            self.run("mariadb-install-db", *common, f"--datadir={making}", "--skip-test-db", seconds=120)
            making.rename(data)
        # slurmdbd asks for a long lock timeout; the rest makes the server small, and keeps it off the network.
        tuned = ["--innodb-lock-wait-timeout=900", "--innodb-buffer-pool-size=64M", "--performance-schema=off"]
        at = [f"--datadir={data}", f"--socket={socket}", f"--pid-file={self.folder}/run/mariadbd.own-pid"]
        self.mariadbd.start(["mariadbd", *common, *tuned, *at, "--skip-networking"], self.environment())
        probe = ["mariadb", "--no-defaults", f"--socket={socket}", "--execute=select 1"]
        self.mariadbd.wait(lambda: self._succeeds(*probe), 60)

    def _start_slurmdbd(self) -> None:
        if self.slurmdbd.pid is None:
            environment = {**self.environment(), "MYSQL_UNIX_PORT": f"{self.folder}/run/mysql.sock"}
            self.slurmdbd.start(self._server("slurmdbd", "-D"), environment)
            self.slurmdbd.wait(lambda: self._succeeds("sacctmgr", "--noheader", "show", "cluster"), 60)
        shown = self.run("sacctmgr", "--noheader", "--parsable2", "show", "user", "root", "format=DefaultAccount")
        if shown.strip() != ACCOUNT:
            for entry in (("cluster", CLUSTER), ("account", ACCOUNT), ("user", "root", f"account={ACCOUNT}")):
                self._call("sacctmgr", "--immediate", "--quiet", "add", *entry)  # fails where it is there already
            default = ("where", "name=root", "set", f"defaultaccount={ACCOUNT}")
            self.run("sacctmgr", "--immediate", "--quiet", "modify", "user", *default)

    def _start_slurmctld(self) -> None:
        if self.slurmctld.pid is None:
            self.slurmctld.start(self._server("slurmctld", "-D"), self.environment())
            self.slurmctld.wait(lambda: self._succeeds("sinfo", "--noheader"), 60)

    def _server(self, *command: str) -> list[str]:
        return [*SERVER_NAMESPACES, "sh", "-c", SERVER, f"{self.folder}/etc", CONTROLLER, *command]

    def _start_node(self, node: Daemon) -> datetime:
        # Whatever ran there is lost. slurmctld would believe it running until a timeout, or, for a job that is younger than
        # BatchStartTimeout, for good: a node that is set down gives its jobs back.
        self.scontrol("update", f"NodeName={node.name}", "State=DOWN", "Reason=restarted")
        moment = datetime.now().replace(microsecond=0)  # Slurm counts whole seconds
        command = [*NODE_NAMESPACES, "sh", "-c", NODE, f"{self.folder}/etc", node.name]
        node.start(command, self.environment(), forks=True)
        return moment

    def _wait_node(self, node: Daemon, moment: datetime) -> None:
        """Until slurmctld knows the slurmd that was started at ``moment``, and not only its predecessor."""

        def registered() -> bool:
            shown = self.scontrol("show", "node", node.name, "--oneliner")
            start = re.search(r"SlurmdStartTime=(\d\S+)", shown)
            return start is not None and datetime.fromisoformat(start[1]) >= moment and self.serving(node.name)

        node.wait(registered, 60)

    # What tests do with it

    def kill_node(self, number: int) -> None:
        """Node 1 or 2 is gone, as if its power had failed: slurmd and everything that runs there, by SIGKILL."""
        self.nodes[number - 1].kill()

    def start_node(self, number: int) -> None:
        """Start it again, and return when it serves."""
        node = self.nodes[number - 1]
        if node.pid is None:
            self._wait_node(node, self._start_node(node))

    def environment(self) -> dict[str, str]:
        """The variables under which Slurm's commands, and Snakemake, use this cluster."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**kept, "SLURM_CONF": f"{self.folder}/etc/slurm.conf"}

    def run(self, *command: str, seconds: float = 120) -> str:
        """What a command prints. Raises ClusterError with the last line of its error if it fails."""
        done = self._call(*command, seconds=seconds)
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command[:3])} failed: {last_line(done.stderr + done.stdout)}")
        return done.stdout

    def scontrol(self, *arguments: str) -> str:
        return self.run("scontrol", *arguments)

    def scancel(self, *arguments: str | int) -> None:
        self.run("scancel", *map(str, arguments))

    def sbatch(self, script: str, *options: str) -> int:
        """Submit a shell script that prints nowhere, unless ``options`` say where; the job's id."""
        printed = self.run("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}")
        return int(printed.split(";")[0])

    def squeue(self, *options: str) -> list[dict[str, str]]:
        """The jobs that wait, run or are ending; with ``--states=all`` those that Slurm remembers, too."""
        form = SEPARATOR.join(SQUEUE.values())
        return _records(self.run("squeue", "--noheader", f"--format={form}", *options), list(SQUEUE))

    def accounting(self, *options: str) -> list[dict[str, str]]:
        """Every job since the beginning, or those that sacct's ``options`` choose; with ``--duplicates`` every attempt."""
        form = ("--allocations", "--noheader", "--parsable2", f"--delimiter={SEPARATOR}", f"--format={','.join(SACCT)}")
        return _records(self.run("sacct", "--starttime=2000-01-01", *form, *options), SACCT)

    def sacct(self, job: int | str) -> dict[str, str]:
        """What accounting says of a job's latest attempt. Raises ClusterError if it does not know the job."""
        found = self.accounting(f"--jobs={job}")
        if not found:
            raise ClusterError(f"sacct does not know job {job}")
        return found[-1]

    def node_states(self) -> dict[str, str]:
        """Node -> its state, with `*` where it does not respond."""
        lines = self.run("sinfo", "--Node", "--noheader", "--partition=main", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def serving(self, name: str) -> bool:
        return self.node_states()[name] in SERVING

    def state(self, job: int | str) -> str:
        """A job's state by slurmctld, which remembers it for MinJobAge after its end. Raises ClusterError if it does not."""
        return self.squeue("--states=all", f"--jobs={job}")[0]["State"]

    def wait_state(self, job: int | str, *states: str, seconds: float = 120) -> None:
        """Until slurmctld says that a job is in one of these states; accounting may learn of it seconds later, or never."""
        wait_for(f"job {job} is {' or '.join(states)}", lambda: self.state(job) in states, seconds)

    def wait_job(self, job: int | str, seconds: float = 120) -> dict[str, str]:
        """What accounting says of a job, once it has ended and accounting knows all of it: it learns in several steps."""
        self.wait_state(job, *ENDED, seconds=seconds)
        state = self.state(job)

        def settled() -> bool:
            found = self.accounting(f"--jobs={job}")
            return bool(found) and found[-1]["State"].split()[0] == state and found[-1]["ReqTRES"] != ""

        wait_for(f"accounting has job {job} as {state}", settled, 120)
        return self.sacct(job)

    def wait_node_state(self, number: int, state: str, seconds: float = 120) -> None:
        """Until a node's state is this one; a `*` does not count."""
        name = NODES[number - 1]
        wait_for(f"{name} is {state}", lambda: self.node_states()[name].rstrip("*") == state, seconds)

    def _succeeds(self, *command: str) -> bool:
        return self._call(*command).returncode == 0

    def _call(self, *command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command, env=self.environment(), capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{' '.join(command[:3])} did not answer within {seconds:g} s") from None


def _records(printed: str, fields: list[str]) -> list[dict[str, str]]:
    return [dict(zip(fields, line.split(SEPARATOR), strict=True)) for line in printed.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description="A real Slurm on one machine, for tests.")
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder)
    try:
        names = cluster.up() if arguments.command == "up" else cluster.down()
    except (ClusterError, Unavailable, OSError) as error:
        sys.exit(f"cluster: {error}")
    print(f"{'started' if arguments.command == 'up' else 'stopped'}: {' '.join(names) or 'nothing'}")
    if arguments.command == "up":
        print(f". {cluster.folder}/env.sh")


if __name__ == "__main__":
    main()
