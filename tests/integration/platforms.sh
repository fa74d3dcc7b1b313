#!/bin/sh
# platforms.sh SOURCE: the release builds of scripts/platforms, each without a warning, or SKIPPED for want of the tools.
cd "$1" && scripts/platforms
