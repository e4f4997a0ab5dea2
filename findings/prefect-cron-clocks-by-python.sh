#!/bin/sh
# Prefect 3.8.8: at what time of the day a schedule fires in the night in which clocks go forwards depends on the Python
# that its server runs on, and an hourly schedule leaves out an hour when they go back.
#
# `30 2 * * *` in Europe/Berlin on 29 March 2026, when 2:00 is followed by 3:00: on Python 3.11 and 3.12 (where Prefect
# computes with pendulum) it fires at 01:30, an hour early, on 3.13 (with whenever) at 03:30. Who moves the server to
# another Python moves the run by two hours, with the same schedule in the same database. `0 * * * *` on 25 October 2026,
# when 3:00 is followed by 2:00: 02:00 CEST, then 03:00 CET, two hours later, on each of them.
#
# Seen on 3.11 and 3.12: spring 01:30 CET                            on 3.13: spring 03:30 CEST
#                        autumn 01:00 CEST 02:00 CEST 03:00 CET               autumn 01:00 CEST 02:00 CEST 03:00 CET
#
# Needs Python 3.11, 3.12 or 3.13 (PYTHON=...). Exits with 0 as long as it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check prefect==3.8.8 fastapi==0.150.0 pydantic==2.14.3 sqlalchemy==2.0.58
cat > "$folder/clocks.py" <<'PYTHON'
import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from prefect.server.schemas.schedules import CronSchedule

BERLIN = ZoneInfo("Europe/Berlin")


def dates(cron, start, hours):
    """Return when a schedule by the clock of Berlin fires, as that clock shows it."""
    begin = datetime.fromisoformat(start).replace(tzinfo=BERLIN)
    schedule = CronSchedule(cron=cron, timezone="Europe/Berlin")
    fired = asyncio.run(schedule.get_dates(n=24, start=begin, end=begin + timedelta(hours=hours)))
    return [date.astimezone(BERLIN).strftime("%H:%M %Z") for date in fired]


print("spring", *dates("30 2 * * *", "2026-03-28T12:00", 24))
print("autumn", *dates("0 * * * *", "2026-10-25T00:30", 4)[:3])
PYTHON
PREFECT_HOME="$folder/home" PREFECT_LOGGING_LEVEL=ERROR "$folder/venv/bin/python" "$folder/clocks.py" | tee "$folder/seen"
spring=$("$folder/venv/bin/python" -c 'import sys; print("01:30 CET" if sys.version_info < (3, 13) else "03:30 CEST")')
printf '%s\n' "spring $spring" "autumn 01:00 CEST 02:00 CEST 03:00 CET" | cmp - "$folder/seen"
