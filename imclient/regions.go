package imclient

import "strings"

// Region is one of the vendor's regions.
type Region struct {
	// Name is its name in English, Host the host of its endpoint.
	Name, Host string
}

// Regions are the vendor's public endpoints. An app belongs to one region, and the others don't know it.
func Regions() []Region {
	return []Region{
		{"China", "console.tim.qq.com"},
		{"Singapore", "adminapisgp.im.qcloud.com"},
		{"Seoul", "adminapikr.im.qcloud.com"},
		{"Tokyo", "adminapijpn.im.qcloud.com"},
		{"Frankfurt", "adminapiger.im.qcloud.com"},
		{"Silicon Valley", "adminapiusa.im.qcloud.com"},
		{"Jakarta", "adminapiidn.im.qcloud.com"},
	}
}

// RegionOf returns the name of the region whose endpoint has a host; empty for any other host.
func RegionOf(host string) string {
	for _, r := range Regions() {
		if strings.EqualFold(strings.TrimSuffix(host, "."), r.Host) {
			return r.Name
		}
	}
	return ""
}
