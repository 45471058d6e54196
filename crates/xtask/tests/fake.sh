#!/bin/sh
# Plays the programs that `cargo xtask test` starts: the name it is called by says which one.
# FAKE is the test's folder: its `bin` is all of PATH, and in `calls` stands who was called how.
name=${0##*/}
echo "$name $*" >>"$FAKE/calls"
case $name in
cargo)
    case $1 in
    metadata)
        echo "{\"workspace_root\": \"$FAKE\", \"target_directory\": \"$FAKE\", \"packages\": []}"
        ;;
    test)
        echo "REDIS_URL=$REDIS_URL REDIS_SERVER=$REDIS_SERVER"
        # What the test writes ends the run, and says how.
        read -r code
        exit "$code"
        ;;
    esac
    ;;
redis-server)
    if [ -e "$FAKE/taken" ]; then
        rm "$FAKE/taken"
        echo "bind: Address already in use"
        echo "Failed listening on port, aborting."
        exit 1
    fi
    if [ -e "$FAKE/broken" ]; then
        # As Redis does: about a wrong setting it speaks here.
        echo "Bad directive or wrong number of arguments" >&2
        exit 1
    fi
    # Whoever reads the pipe sees its end when this has ended, and not before.
    exec 9>"$FAKE/alive"
    # A real one would end at this signal. Here only the supervisor is to end it.
    trap '' TERM
    echo "Ready to accept connections tcp"
    exec sleep 600
    ;;
apt-get | dnf | brew)
    case "$* $FAKE_INSTALLS" in
    "install "*yes) ln -s "$FAKE/bin/fake" "$FAKE/bin/redis-server" ;;
    *) exit 1 ;;
    esac
    ;;
id)
    echo "$FAKE_USER"
    ;;
sudo)
    shift
    [ "$FAKE_SUDO" = yes ] && exec "$@"
    ;;
esac
