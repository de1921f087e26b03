package nsf

// structure is what is known of an ODS.
type structure struct {
	release string
	// headers are the sizes that the header may have; none when its layout is not known here.
	headers []uint32
}

// structures by ODS: numbers of releases by [LIBNSF], sizes of headers as seen in genuine files of 41, 43, 52, 53 and 55. That 48 and 51 have one of the two is inferred.
func structures(ods uint32) structure {
	switch ods {
	case 16:
		return structure{release: "1 or 2"}
	case 17:
		return structure{release: "3"}
	case 20:
		return structure{release: "4"}
	case 41:
		return structure{"5", []uint32{1024}}
	case 43:
		return structure{"6 to 8", []uint32{1024}}
	case 48:
		return structure{"8", []uint32{1024, 2048}}
	case 51:
		return structure{"8.5", []uint32{1024, 2048}}
	case 52:
		return structure{"after 8.5", []uint32{1024}}
	case 53, 55:
		return structure{"after 8.5", []uint32{2048}}
	}
	return structure{}
}
