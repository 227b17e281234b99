"""Where the chaos program's plug-ins and their copies of asyncslot are."""

# The plug-ins: their package, and where their copy of asyncslot is in it; None: it is the one at the top level. The
# last two are parts of a host's own package, as in Picard 3, so that their default names are the same.
SHARED = "chaos_aio"
PLUGINS = {
    "alpha": ("chaos_alpha", "_vendor", "asyncslot"),
    "beta": ("chaos_beta", "libs", "beta_aio"),
    "gamma": ("chaos_gamma", None, SHARED),
    "delta": ("chaos_delta", None, SHARED),
    "foo": ("chaos_host.plugins.foo", "_vendor", "asyncslot"),
    "bar": ("chaos_host.plugins.bar", "_vendor", "asyncslot"),
}
