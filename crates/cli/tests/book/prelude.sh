# What stands before the commands of a page: the names that they use, as functions that put in the place of the page's addresses and ids
# those of this run. REAL is the binary, UPSTREAM the base URL of an upstream, HERE the folder of this file.
set -euo pipefail

# The processes that were started here, and no others.
stop() {
	local pid
	for pid in ${started-}; do
		kill "$pid" 2>/dev/null && wait "$pid" || true
	done
	started=
}
trap stop EXIT

# Goes to an empty folder, as that of somebody who begins.
folder() {
	cd "$(mktemp -d -p "$WORLD")"
	printf '%s' 127.0.0.1:8080 >listening
	printf '%s' 127.0.0.1:9090 >admin
	printf 'chatcmpl-' >id
	: >key
}

# The page's addresses in what was printed.
addresses() {
	sed -e 's/127\.0\.0\.1:0/127.0.0.1:8080/g; s/127\.0\.0\.2:0/127.0.0.1:9090/g' \
		-e "s#$UPSTREAM#https://api.openai.com/v1#g"
}

slarouter() {
	local words=() word
	for word in "$@"; do
		word=${word//key_5d0c…/$(cat key)}
		word=${word//http:\/\/10.0.0.5:8000\/v1/$UPSTREAM}
		[ "$word" != ID ] || word=$(cat id)
		words+=("$word")
	done
	case $1 in
	init)
		words+=(--listen 127.0.0.1:0 --admin-listen 127.0.0.2:0)
		case " $* " in
		*' --yes '*) "$REAL" "${words[@]}" | addresses ;;
		*) python3 "$HERE/terminal.py" "$transcript" "$REAL" "${words[@]}" | addresses ;;
		esac
		;;
	serve)
		rm -f ready
		mkfifo ready
		"$REAL" "${words[@]}" >ready 2>>served &
		started="${started-} $!"
		head -n 1 ready >line || true
		[ -s line ] || { cat served >&2; return 1; }
		sed -E 's/.*"listening":"([^"]*)".*/\1/' line | tr -d '\n' >listening
		sed -E 's/.*"admin":"([^"]*)".*/\1/' line | tr -d '\n' >admin
		cat line
		# Where there never was a key, the gateway's own one is in this file.
		[ ! -f slarouter.db.first-key ] || SLAROUTER_ADMIN_KEY=$(cat slarouter.db.first-key)
		;;
	keys)
		[ -z "${started-}" ] || words+=(--url "http://$(cat admin)")
		"$REAL" "${words[@]}" >said || { cat said >&2; return 1; }
		cat said
		grep -oE 'key_[0-9a-f]+' said | tail -n 1 | tr -d '\n' >key || true
		# The first key ends the time without any.
		[ "$2" != create ] || case " $* " in *' --scope admin '*) export SLAROUTER_ADMIN_KEY=$(grep -oE 'slr_[0-9a-f]{64}' said) ;; esac
		;;
	*) "$REAL" "${words[@]}" ;;
	esac
}

curl() {
	local words=() word
	for word in "$@"; do
		word=${word//127.0.0.1:8080/$(cat listening)}
		word=${word//127.0.0.1:9090/$(cat admin)}
		word=${word//chatcmpl-…/$(cat id)}
		words+=("$word")
	done
	command curl --silent --show-error --fail-with-body --noproxy '*' "${words[@]}" >answer || { cat answer >&2; return 1; }
	cat answer
	echo
	grep -oE 'chatcmpl-[0-9a-f-]{36}' answer | head -n 1 | tr -d '\n' >id.new || true
	[ ! -s id.new ] || mv id.new id
}

# A gateway that has served and was rated, with the files that pages speak of.
running() {
	cat >slarouter.toml <<-END
		[server]
		listen = "127.0.0.1:0"
		admin_listen = "127.0.0.1:0"
		[[models]]
		name = "gpt-small"
		base_url = "$UPSTREAM"
		price = { input = 0.15, output = 0.60 }
		[[models]]
		name = "gpt-large"
		base_url = "$UPSTREAM"
		price = { input = 2.50, output = 10.0 }
		[routes.default]
		models = ["gpt-small", "gpt-large"]
		fallback = "gpt-large"
		sla = { satisfaction = 0.9 }
	END
	python3 "$HERE/files.py"
	slarouter serve
	local n
	for n in 1 2 3 4 5 6 7 8; do
		curl --json '{"model": "auto", "messages": [{"role": "user", "content": "Question '$n'"}]}' http://127.0.0.1:8080/v1/chat/completions
		curl --json "{\"id\": \"$(cat id)\", \"rating\": \"up\"}" http://127.0.0.1:8080/v1/feedback
	done
}
