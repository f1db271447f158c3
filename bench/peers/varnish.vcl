# Varnish before the bench's origin, for scripts/bench-peers. Its own rules do: what has a max-age is kept.
vcl 4.1;

backend default {
	.host = "@HOST@";
	.port = "@PORT@";
}
