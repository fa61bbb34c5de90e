"""What the client takes for a progress bar, in the way that it uses one for large files (Xet), which no server here serves."""

from __future__ import annotations

from types import SimpleNamespace

from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from primum.hub.transfer import _counter


def test_the_bytes_of_a_xet_file_are_counted_as_they_are_written() -> None:
    counted: list[int] = []
    with XetDownloadProgressReporter(
        reconstruction_desc="a file", total=10, log_level=0, tqdm_class=_counter(counted.append)
    ) as reporter:
        for written, received in ((0, 4), (4, 9), (10, 10)):
            reporter.update_progress(
                SimpleNamespace(
                    total_bytes=10,
                    total_bytes_completed=written,
                    total_bytes_completion_rate=1.0,
                    total_transfer_bytes_completed=received,
                    total_transfer_bytes_completion_rate=1.0,
                )
            )
    assert counted == [4, 6]
