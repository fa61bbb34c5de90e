"""What Slurm's daemons are told: two nodes with four GPUs each, all on the loopback address of one small machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

NODES = ("node1", "node2")
GPUS = 4
GPU_TYPE = "h100"
CPUS = 8
MEMORY = 16_000  # MB, as Slurm counts
ACCOUNT = "lab"
CLUSTER = "tests"
CONTROLLER = "controller"

_SLURM = """\
ClusterName={cluster}
SlurmctldHost={controller}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits for cred_expire before it starts again: 120 s by default.
AuthInfo=socket={folder}/run/munge.sock,cred_expire=10
# The daemons listen on the address of their host name, which is 127.0.0.1 in their namespaces, instead of on all.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state/{controller}
SlurmctldPidFile={folder}/run/slurmctld.own-pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/run/%n.own-pid
SlurmdLogFile={folder}/log/%n.log
SlurmdSpoolDir={folder}/state/%n
# Nodes claim more than the machine has: what they claim counts, not what slurmd finds.
SlurmdParameters=config_overrides
# No cgroups: processes are found through /proc, and memory is polled.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=3
JobAcctGatherParams=OverMemoryKill,UsePss
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# As at many sites: a job goes back into the queue only if it was submitted so.
JobRequeue=0
EnforcePartLimits=ALL
KillWait=30
OverTimeLimit=0
# squeue, and with it what asks it for a job's state, must know finished jobs for longer than any test takes.
MinJobAge=900
SlurmdTimeout=15
ReturnToService=2
MessageTimeout=30
BatchStartTimeout=30
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database_port}
AccountingStoragePass={folder}/run/munge.sock
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu,gres/gpu:{gpu_type}
{nodes}
PartitionName=DEFAULT Nodes=ALL MaxTime=7-0 DefaultTime=60 State=UP
# Jobs in `high` preempt those in `low`; nothing preempts those in `main`.
PartitionName=main Default=YES PriorityTier=1 PreemptMode=OFF
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high PriorityTier=2 PreemptMode=OFF
"""

_NODE = (
    "NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpu_type}:{gpus} State=UNKNOWN"
)

# The database server has a socket and no port, and its root is the system's: no password to keep.
_DATABASE = """\
DbdHost={controller}
DbdAddr=127.0.0.1
DbdPort={database_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
CommunicationParameters=NoInAddrAny
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.own-pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=accounting
# Write at once: tests read what just happened.
CommitDelay=0
"""


def _free_ports(count: int) -> list[int]:
    """Neighbouring ports that nobody listens on, below those that the kernel hands out by itself.

    Where the search begins depends on the process, since clusters that are made at the same moment see the same ports free.
    """
    begin = 17_000 + os.getpid() % 1_000 * 10
    for first in range(begin, 32_000, 10):
        ports = list(range(first, first + count))
        if all(_is_free(port) for port in ports):
            return ports
    raise OSError(f"no {count} neighbouring ports are free between {begin} and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def write(folder: Path) -> None:
    """The files under ``folder/etc``, once: the ports in them are this cluster's for good."""
    etc = folder / "etc"
    if (etc / "slurm.conf").exists():
        return
    controller_port, database_port, *ports = _free_ports(2 + len(NODES))
    common = {"cpus": CPUS, "memory": MEMORY, "gpus": GPUS, "gpu_type": GPU_TYPE}
    nodes = [_NODE.format(name=name, port=port, **common) for name, port in zip(NODES, ports, strict=True)]
    values = {
        "folder": folder,
        "cluster": CLUSTER,
        "controller": CONTROLLER,
        "controller_port": controller_port,
        "database_port": database_port,
        "gpu_type": GPU_TYPE,
        "nodes": "\n".join(nodes),
    }
    for number in range(GPUS):  # slurmd wants a device to exist, and a link to one will do
        device = folder / "dev" / f"nvidia{number}"
        device.unlink(missing_ok=True)
        device.symlink_to("/dev/null")
    files = f"File={folder}/dev/nvidia[0-{GPUS - 1}]"
    gres = f"AutoDetect=off\nNodeName={','.join(NODES)} Name=gpu Type={GPU_TYPE} Flags=nvidia_gpu_env {files}\n"
    (etc / "gres.conf").write_text(gres, encoding="utf-8")
    (etc / "cgroup.conf").write_text("CgroupPlugin=autodetect\nIgnoreSystemd=yes\n", encoding="utf-8")
    names = "".join(f"127.0.0.1 {name}\n" for name in (CONTROLLER, *NODES))
    (etc / "hosts").write_text(names + Path("/etc/hosts").read_text(encoding="utf-8"), encoding="utf-8")
    database = etc / "slurmdbd.conf"
    database.touch(mode=0o600)  # slurmdbd refuses one that others can read
    database.write_text(_DATABASE.format(**values), encoding="utf-8")
    # Last, since its presence says that all is written.
    (etc / "slurm.conf").write_text(_SLURM.format(**values), encoding="utf-8")
