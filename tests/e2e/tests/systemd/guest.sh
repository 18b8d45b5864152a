#!/bin/bash
# Runs in a machine that systemd started, as root, and says on the second serial port what is as it should be: lines of
# "ok WHAT" and "FAILED WHAT", and "done" at the end. What explains a failure goes to the console.
#
# Here are /gotap.deb and a Go program that other users may run and not read.
exec >/dev/ttyS1 2>/dev/console

check() {
    local what=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        echo "ok $what"
    else
        echo "FAILED $what: $* ($(tail -n 3 /tmp/said | tr '\n\r' '  '))"
        { cat /tmp/said && systemctl status --no-pager --lines=40 gotap; } >/dev/console 2>&1
    fi
}
eventually() {
    local i
    for i in {1..90}; do
        "$@" && return
        sleep 1
    done
    return 1
}
not() { ! "$@"; }
# Of a unit: a property, and what it must be.
is() { [[ $(systemctl show --property "$1" --value gotap) == "$2" ]]; }
get() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    timeout 20 cat <&3
    exec 3>&-
}
answers() { get "$1" "$2" | grep "$3"; }
status() { sed -n "s/^$1:\t*//p" "/proc/$(systemctl show --property MainPID --value gotap)/status"; }
# BPF programs in the kernel, by name. systemd has some, too.
programs() { grep -o 'bpf_prog_[0-9a-f]*_[^ ]*' /proc/kallsyms | sort; }
no_more_programs() { diff /tmp/programs-before <(programs); }
has_programs() { (($(programs | wc -l) > $(wc -l </tmp/programs-before))); }
ready() { answers 9464 /readyz '200 OK'; }
is_started() { systemctl start gotap && eventually ready; }
is_over() { is ActiveState inactive && is Result success && is ExecMainStatus 0 && not pgrep -x gotap; }
pgrep() { grep -lx "$2" /proc/[0-9]*/comm; }
five_requests() { for _ in 1 2 3 4 5; do answers 8080 /hello '200 OK' || return 1; done; }
are_measured() {
    get 9464 /metrics >/tmp/metrics
    # What a failure shows.
    grep -E '^(http_server_request_duration_seconds_count|gotap_spans|go_goroutine\{)' /tmp/metrics
    grep -qE '^http_server_request_duration_seconds_count\{.*http_route="/hello".* 5\b' /tmp/metrics &&
        grep -qE '^gotap_spans_total(\{.*\})? 5\b' /tmp/metrics && grep -qE '^go_goroutine\{.*httpapp' /tmp/metrics
}
has_few_rights() {
    [[ $(status NoNewPrivs) == 1 && $(status Seccomp) == 2 && $(status Uid) != 0* ]] &&
        # BPF, PERFMON, SYS_PTRACE and DAC_READ_SEARCH; SYS_ADMIN before Linux 6.6.
        [[ $(status CapEff) == 000000c000080004 || $(status CapEff) == 000000c000280004 && $(uname -r) == 6.1.* ]]
}
is_clean() {
    [[ ! -e /etc/gotap && ! -e /usr/bin/gotap && ! -e /run/gotap && ! -e /usr/share/man/man1/gotap.1.gz ]] &&
        not systemctl cat gotap
}
verified() {
    systemd-analyze verify --man=no gotap.service >/tmp/verified 2>&1
    not grep gotap.service /tmp/verified
}

systemctl mask --now serial-getty@ttyS0 >/dev/console 2>&1
check "it is installed with all that it depends on" dpkg --install /gotap.deb
check "it is not enabled by that" not systemctl is-enabled gotap
check "it is not started by that" is ActiveState inactive
check "systemd understands the unit" verified
check "a program of another user runs" \
    systemd-run --quiet --unit=httpapp --property=DynamicUser=yes /opt/httpapp -addr 127.0.0.1:8080
check "the program serves" eventually answers 8080 /hello '200 OK'
programs >/tmp/programs-before
check "it starts" is_started
check "it has programs in the kernel" has_programs
check "it has no more rights than it needs" has_few_rights
check "requests are answered" five_requests
check "requests are spans, metrics, and those of the runtime" eventually are_measured
kill -9 "$(systemctl show --property MainPID --value gotap)"
check "it is started again when it crashes" eventually is NRestarts 1
check "it is ready again" eventually ready
check "it stops" systemctl stop gotap
check "it ended by itself and well" is_over
check "nothing of it is in the kernel" eventually no_more_programs
check "the program goes on" answers 8080 /hello '200 OK'
cp /etc/gotap/gotap.yaml /tmp/gotap.yaml
echo 'nonsense: true' >>/etc/gotap/gotap.yaml
systemctl start gotap
check "a wrong setting is a failure" eventually is ExecMainStatus 2
check "and it is not started again and again" is NRestarts 0
cp /tmp/gotap.yaml /etc/gotap/gotap.yaml
systemctl reset-failed gotap
check "it is enabled" systemctl enable gotap
check "it starts once more" is_started
check "it is removed while it runs" dpkg --remove gotap
check "that has stopped it" not pgrep -x gotap
check "that leaves nothing in the kernel" eventually no_more_programs
check "it is purged" dpkg --purge gotap
check "that leaves no files" is_clean
echo "done"
