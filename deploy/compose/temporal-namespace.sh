#!/bin/sh
# Waits for Temporal and makes the namespace that Tocsin uses; safe to repeat.
set -eu
temporal operator cluster health
temporal operator namespace describe -n default >/dev/null 2>&1 || temporal operator namespace create -n default --retention 72h
