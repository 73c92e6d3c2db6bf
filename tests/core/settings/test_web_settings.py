import pytest

from beatsight_core.errors import SettingsError
from beatsight_core.settings import load_settings


def hosts(data_root, text="", **environment):
    (data_root / "beatsight.toml").write_text(text)
    return load_settings(data_root, environment).web.hosts


def test_hosts_of_a_proxy_come_from_the_file_and_the_environment_beats_it(data_root):
    assert hosts(data_root) == ()
    file = '[web]\nhosts = ["drums.example.org", "10.0.0.7:8443"]'
    assert hosts(data_root, file) == ("drums.example.org", "10.0.0.7:8443")
    assert hosts(data_root, file, BEATSIGHT_WEB_HOSTS="a.example, b.example:81 ,") == ("a.example", "b.example:81")
    assert hosts(data_root, file, BEATSIGHT_WEB_HOSTS="") == ()


@pytest.mark.parametrize(
    "host",
    ["https://drums.example.org", "*", "*.example.org", "drums.example.org/", "a b", "", ".", "x:y", "a@b", "-a"],
)
def test_what_is_no_host_is_refused_by_name(data_root, host):
    with pytest.raises(SettingsError, match=r"web\.hosts, or the variable BEATSIGHT_WEB_HOSTS") as caught:
        hosts(data_root, f'[web]\nhosts = ["{host}"]')
    assert repr(host) in str(caught.value)


def test_a_misspelt_name_is_found(data_root):
    with pytest.raises(SettingsError, match=r"did you mean web\.hosts"):
        hosts(data_root, '[web]\nhost = ["a.example"]')
